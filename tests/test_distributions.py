"""What the two distributions bring: built with hatchling, as pip does."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from app import __version__
from tests.conftest import ROOT

CLIENT = ROOT / "client"
MADE = {"__pycache__", ".pyc"}
DATA = ("models/store/", "models/weights/")


def build(project: Path, target: str, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [built] = folder.iterdir()
    return built


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def files(package: str, project: Path = ROOT) -> set[str]:
    """Every file of a package, without what is made in it."""
    paths = (path.relative_to(project) for path in (project / package).rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in paths
        if not MADE & {*path.parts, path.suffix} and not path.as_posix().startswith(DATA)
    }


@pytest.fixture(scope="module")
def gateway_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(CLIENT, "wheel", tmp_path_factory.mktemp("client"))


def test_the_gateway_brings_its_packages_and_nothing_else(gateway_wheel: Path) -> None:
    found = {name for name in names(gateway_wheel) if ".dist-info/" not in name}
    assert found == files("app") | files("mobilenet_gateway") | files("models")
    assert {
        "app/py.typed", "app/card/accuracy.csv", "app/http/static/index.html",
        "models/py.typed", "models/papers/printed.csv", "models/zoo/zoo.toml",
    } <= found  # fmt: skip


def test_the_client_brings_its_package_and_needs_httpx_only(client_wheel: Path) -> None:
    found = {name for name in names(client_wheel) if ".dist-info/" not in name}
    assert found == files("mobilenet_gateway_client", CLIENT)
    assert "mobilenet_gateway_client/py.typed" in found
    required = [
        line for line in metadata(client_wheel).get_all("Requires-Dist", []) if "extra" not in line
    ]
    assert required == ["httpx>=0.28"]
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_client_has_the_version_of_the_gateway(gateway_wheel: Path, client_wheel: Path) -> None:
    assert metadata(client_wheel)["Version"] == metadata(gateway_wheel)["Version"] == __version__


def test_the_client_can_be_built_from_its_source_distribution(
    client_wheel: Path, tmp_path: Path
) -> None:
    for name in ("sdist", "source", "wheel"):
        (tmp_path / name).mkdir()
    sdist = build(CLIENT, "sdist", tmp_path / "sdist")
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path / "source"], check=True)
    [source] = (tmp_path / "source").iterdir()
    assert names(build(source, "wheel", tmp_path / "wheel")) == names(client_wheel)


def test_a_typed_program_with_the_client_passes_strict_checks(
    client_wheel: Path, tmp_path: Path
) -> None:
    text = (ROOT / "docs/client.md").read_text()
    [program, teaching] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    installed = tmp_path / "site-packages"
    shutil.unpack_archive(client_wheel, installed, "zip")
    script = tmp_path / "program.py"
    script.write_text(f"{program}\nreveal_type(answer.predictions[0])\n{teaching}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", script.name],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "mobilenet_gateway_client._results.ClassScore"' in done.stdout
