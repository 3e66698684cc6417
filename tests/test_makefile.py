"""What `make` does before and besides running things."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# As on Debian without python3-venv: an interpreter is made, and then there is no ensurepip.
WITHOUT_ENSUREPIP = """#!/bin/sh
[ "$1" = -m ] || exec "{python}" "$@"
"{python}" -m venv --without-pip "$3"
exit 1
"""


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("make"):
        pytest.skip("needs make")
    # `make test` tells every make below it to say where it is.
    given = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=given, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the environments are made from, and nothing made."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "client/pyproject.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_an_environment_that_failed_half_way_is_made_whole(checkout: Path) -> None:
    broken = checkout / "python3"
    broken.write_text(WITHOUT_ENSUREPIP.format(python=sys.executable))
    broken.chmod(0o755)
    assert make(checkout, ".venv/.made", "PYTHON=./python3").returncode
    assert (checkout / ".venv/bin/python").exists()
    done = make(checkout, ".venv/.made", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert not subprocess.run([checkout / ".venv/bin/pip", "--version"], check=False).returncode


def test_what_is_set_up_for_tests_also_measures(checkout: Path) -> None:
    """`make bench` after `make test` has nothing to install."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.made").touch()
    would = make(checkout, "--dry-run", ".venv/.dev").stdout
    [touched] = re.findall(r"^touch (.*)$", would, re.MULTILINE)
    assert {".venv/.dev", ".venv/.serve", ".venv/.load", ".venv/.bench"} == set(touched.split())


def test_help_lists_every_target_that_says_what_it_does() -> None:
    described = re.findall(r"^(\S+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    listed = [line.split()[0:2] for line in make(ROOT, "help").stdout.splitlines()]
    assert "image-arm64" in described
    assert listed == [["make", name] for name in described]


def test_the_programs_of_the_environment_are_found_in_a_path_with_a_space(checkout: Path) -> None:
    would = make(checkout, "--dry-run", "lock").stdout.splitlines()[-1]
    assert would == f'PATH="{checkout}/.venv/bin:$PATH" container/lock.sh'


def test_clean_leaves_models_and_what_is_in_git(checkout: Path) -> None:
    kept = ["models/store/mine.onnx", "models/weights/mine.pth", "container/wheels/one.whl"]
    gone = ["build/sbom.cdx.json", "tests/page/shots/1.png", ".venv/.made", ".coverage.1"]
    for name in (*kept, *gone):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    assert make(checkout, "clean").returncode == 0
    assert all((checkout / name).exists() for name in kept)
    assert not any((checkout / name).exists() for name in gone)
