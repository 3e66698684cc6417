"""Removing debug information from a library, and the health check."""

import os
import shutil
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from pathlib import Path

import httptools
import pytest
import uvloop

from container.trim import (
    LOAD,
    PACKAGES_LEFT_OUT,
    STDLIB_LEFT_OUT,
    copy_tree,
    drop_debug_sections,
    is_elf,
    segments,
)
from tests.conftest import ROOT
from tests.processes import running

CHECK = ROOT / "container" / "healthcheck.py"


def native_modules() -> list[Path]:
    """Installed modules that are shared libraries."""
    folders = [Path(module.__path__[0]) for module in (httptools, uvloop)]
    found = [path for folder in folders for path in folder.rglob("*.so")]
    return [path for path in sorted(found) if is_elf(path)]


@pytest.mark.parametrize("path", native_modules(), ids=lambda path: path.name.partition(".")[0])
def test_a_library_without_debug_information_still_loads(path: Path, tmp_path: Path) -> None:
    cut = Path(shutil.copy(path, tmp_path))
    drop_debug_sections(cut)
    assert cut.stat().st_size <= path.stat().st_size
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, cut], check=True)
    before = [part for part in segments(path.read_bytes()) if part[0] == LOAD]
    assert [part for part in segments(cut.read_bytes()) if part[0] == LOAD] == before


def test_a_tree_is_copied_without_what_is_left_out(tmp_path: Path) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    for name in ("package/code.py", "package/tests/test_code.py", "other/code.pyi"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    (tree / "broken").symlink_to("nowhere")
    copy_tree(tree, root, ("*/tests", "*.pyi"))
    copied = root / tree.relative_to("/")
    assert sorted(path.name for path in copied.rglob("*") if path.is_file()) == ["code.py"]


LOADED = """
import sys
from app.images import helper_main, helper_process
for module in list(sys.modules.values()):
    if path := getattr(module, "__file__", None):
        print(path)
"""


def test_what_the_helper_process_imports_is_in_the_image() -> None:
    without_coverage = {name: text for name, text in os.environ.items() if "COV" not in name}
    run = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True, text=True, check=True, env=without_coverage,
    )  # fmt: skip
    loaded = [Path(line) for line in run.stdout.splitlines()]
    packages = Path(sysconfig.get_path("purelib"))
    stdlib = Path(sysconfig.get_path("stdlib"))
    assert {"subprocess.py", "decode.py"} <= {path.name for path in loaded}
    assert [path for path in loaded if path.is_relative_to(packages / "PIL")]
    for folder, left_out in ((packages, PACKAGES_LEFT_OUT), (stdlib, STDLIB_LEFT_OUT)):
        for path in loaded:
            if path.is_relative_to(folder) and "site-packages" not in str(path.relative_to(folder)):
                name = str(path.relative_to(folder))
                assert not [pattern for pattern in left_out if fnmatch(name, pattern)], name


def health(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", CHECK],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_health_check_follows_the_port_of_the_service(store: Path) -> None:
    with running(store) as service:
        run = health(GATEWAY_HOST="0.0.0.0", GATEWAY_PORT=str(service.port))  # noqa: S104  # an address in a variable, not one to listen on
        assert (run.returncode, run.stderr) == (0, "")
    run = health(GATEWAY_PORT=str(service.port))
    assert run.returncode == 1
    assert run.stderr.startswith("not ready: ")
