"""`from mobilenet_gateway import Classifier` beside files that hide the package `app`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = "from mobilenet_gateway import Classifier; print(Classifier.__module__)"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["app.py", "app/__init__.py"])
def test_what_hides_the_package_is_named_and_not_run(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"print('mine')\n{PROGRAM}\n")
    done = run(tmp_path, "-c", PROGRAM)
    assert (done.returncode, done.stdout) == (1, "")
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: {file} is imported as `app`")
    assert error.endswith("Rename it, run the program from another folder, or as `python -P`.")
    again = run(tmp_path, "-P", "-c", PROGRAM)
    assert (again.returncode, again.stdout) == (0, "app.library\n"), again.stderr


def test_a_program_that_uses_its_own_app_first_gets_the_error_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    for arguments in (("app.py",), ("-c", "import app")):
        done = run(tmp_path, *arguments)
        assert done.returncode == 1
        assert f"ImportError: {tmp_path / 'app.py'} is imported as `app`" in done.stderr


def test_a_folder_that_is_no_package_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "data.txt").write_text("not a module")
    done = run(tmp_path, "-c", PROGRAM)
    assert (done.returncode, done.stdout) == (0, "app.library\n"), done.stderr
