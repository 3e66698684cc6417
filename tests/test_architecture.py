"""The folder tree is the architecture: who may import whom, and how far a request has to travel."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LINT = Path(sys.executable).with_name("lint-imports")
MAX_MODULES = 15  # of a package
MAX_FILES, MAX_LINES = 20, 2800  # on the way of one POST /predict


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml against the packages of this folder."""
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(folder), "PATH": ""},
    )  # fmt: skip


def test_imports_point_down_and_never_in_circles() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        pytest.param("app/card/card.py", "import app.http.server", "Packages of app", id="upwards"),
        pytest.param("app/http/server.py", "import models.zoo.zoo", "app knows", id="to-models"),
        pytest.param(
            "app/images/crop.py", "import app.images.decode", "by way of a sibling", id="circle"
        ),
    ],
)
def test_an_import_that_breaks_a_contract_is_found(
    tmp_path: Path, module: str, line: str, broken: str
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("app", "mobilenet_gateway", "models", "loadtest"):
        ignore = shutil.ignore_patterns("store", "weights", "static", "__pycache__", ".venvs")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    [summary] = [text for text in done.stdout.splitlines() if broken in text and "BROKEN" in text]
    assert summary


def own_files(root: str, pattern: str) -> Iterator[Path]:
    """Files of a folder, without those of the environments that the benchmarks install."""
    found = (ROOT / root).rglob(pattern)
    return (path for path in found if ".venvs" not in path.parts)


def test_no_package_has_more_modules_than_one_can_survey() -> None:
    packages: dict[str, int] = {}
    for root in ("app", "models", "loadtest", "client"):
        for path in own_files(root, "*.py"):
            if path.name != "__init__.py":
                folder = path.parent.relative_to(ROOT).as_posix()
                packages[folder] = packages.get(folder, 0) + 1
    assert packages["app/oip"] > 1
    assert {name: count for name, count in packages.items() if count > MAX_MODULES} == {}


def test_the_packages_of_the_project_re_export_nothing() -> None:
    for root in ("app", "models", "loadtest"):
        for path in own_files(root, "__init__.py"):
            assert "import" not in path.read_text("utf-8"), path


def test_the_way_of_a_prediction_is_short(store: Path) -> None:
    command = [sys.executable, "-m", "tests.request_path", str(store), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = json.loads(done.stdout)
    # The story that docs/architecture.md tells, in order.
    story = (
        "app/http/protocol.py", "app/http/fast_predict.py", "app/request/prediction.py",
        "app/request/admitted.py", "app/inference/scheduler.py", "app/inference/classify.py",
        "app/images/decode.py", "app/telemetry/request_log.py",
    )  # fmt: skip
    assert set(story) <= lines.keys()
    assert len(lines) <= MAX_FILES, lines
    assert sum(lines.values()) <= MAX_LINES, lines
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    places = [text.find(name) for name in story]
    assert -1 not in places, story
    assert places == sorted(places)
