"""The unit for an install without a container."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.settings import Settings, variable
from tests.conftest import ROOT

UNIT = ROOT / "deploy" / "mobilenet-gateway.service"
MAX_EXPOSURE = 2.0  # of 10, as systemd rates it


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze, of Debian's package systemd")
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def unit(tmp_path: Path) -> str:
    """The unit with a program that every machine has."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace(
        "/opt/mobilenet-gateway/bin/mobilenet-gateway", str(shutil.which("true"))
    )
    path.write_text(text)
    return str(path)


def test_systemd_takes_every_line(unit: str) -> None:
    run = analyze("verify", "--man=no", unit)
    assert (run.returncode, run.stderr) == (0, "")


def test_systemd_counts_it_as_hardly_exposed(unit: str) -> None:
    run = analyze("security", "--offline=true", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", run.stdout)
    if not found:
        pytest.skip(f"this systemd cannot tell without running: {run.stderr.strip()}")
    assert float(found[1]) <= MAX_EXPOSURE


def test_its_variables_are_settings() -> None:
    known = {variable(name) for name in Settings.model_fields}
    lines = re.findall(r"^Environment=(.+)", UNIT.read_text("utf-8"), re.MULTILINE)
    named = {name for line in lines for name in re.findall(r"(GATEWAY_\w+)=", line)}
    assert named
    assert named <= known
