"""The workflows of .github and the hooks of pre-commit, which run the checks of `make check`."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types

from tests.conftest import ROOT

BESIDE_PYTHON = Path(sys.executable).with_name("actionlint")
ACTIONLINT = str(BESIDE_PYTHON) if BESIDE_PYTHON.is_file() else shutil.which("actionlint")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


@pytest.mark.skipif(ACTIONLINT is None, reason="needs actionlint on the PATH")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_passes_actionlint(path: Path) -> None:
    assert ACTIONLINT is not None
    done = subprocess.run(
        [ACTIONLINT, "-no-color", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_ci_runs_the_local_gate_and_the_tests_on_every_supported_python() -> None:
    jobs = read(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert ".ci/run" in commands(jobs["gate"]).splitlines()
    assert "make test" in commands(jobs["test"]).splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert jobs["test"]["strategy"]["matrix"]["python"] == [oldest, "3.12", "3.13"]


def test_ci_counts_on_arm_with_the_tools_that_this_takes() -> None:
    job = read(ROOT / ".github/workflows/ci.yml")["jobs"]["arm"]
    assert "make bench-arm" in commands(job).splitlines()
    assert "qemu-user" in commands(job)
    assert job["container"]["options"] == "--privileged"


def test_a_release_waits_for_the_gate_and_has_both_architectures_and_both_wheels() -> None:
    jobs = read(ROOT / ".github/workflows/release.yml")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    for name in ("image", "wheels"):
        assert "ci" in jobs[name]["needs"]
    assert "--platform linux/amd64,linux/arm64" in commands(jobs["image"])
    assert "pip wheel --no-deps --wheel-dir dist . ./client" in commands(jobs["wheels"])


def test_the_version_that_a_release_compares_is_found() -> None:
    jobs = read(ROOT / ".github/workflows/release.yml")["jobs"]
    [script] = re.findall(r"\$\((sed [^)]*\\\)[^)]*)\)", commands(jobs["version"]))
    found = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", found.stdout)


def test_the_hooks_before_a_commit_are_checks_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [check] = re.findall(r"^check: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    [local] = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        words = [word for word in shlex.split(hook["entry"]) if not word.startswith("-")]
        command = " ".join(words).replace(".venv/bin/", "$(BIN)/")
        assert command.replace("format", "format --check") in check
