"""The unit for an install without a container."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.environment import variable
from app.settings import Settings
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


def test_systemd_takes_the_lines_that_pass_a_certificate_on(unit: str) -> None:
    page = (ROOT / "docs" / "tls.md").read_text("utf-8")
    [lines] = re.findall(r"^    \[Service\]\n(?:    .+\n)+", page, re.MULTILINE)
    folder = Path(f"{unit}.d")
    folder.mkdir()
    (folder / "override.conf").write_text(lines.replace("    ", ""))
    run = analyze("verify", "--man=no", unit)
    assert (run.returncode, run.stderr) == (0, "")
    (folder / "override.conf").write_text(lines.replace("    ", "").replace("LoadC", "LoudC"))
    assert "LoudCredential" in analyze("verify", "--man=no", unit).stderr


def test_systemd_takes_the_lines_that_open_cameras(unit: str) -> None:
    drop_in = ROOT / "deploy" / f"{UNIT.name}.d" / "cameras.conf"
    folder = Path(f"{unit}.d")
    folder.mkdir()
    shutil.copy(drop_in, folder)
    run = analyze("verify", "--man=no", unit)
    assert (run.returncode, run.stderr) == (0, "")
    text = drop_in.read_text("utf-8")
    (folder / drop_in.name).write_text(text.replace("DeviceAllow", "DevicesAllow"))
    assert "DevicesAllow" in analyze("verify", "--man=no", unit).stderr


def test_systemd_counts_it_as_hardly_exposed(unit: str) -> None:
    run = analyze("security", "--offline=true", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", run.stdout)
    if not found:
        pytest.skip(f"this systemd cannot tell without running: {run.stderr.strip()}")
    assert float(found[1]) <= MAX_EXPOSURE


def system_calls(name: str) -> set[str]:
    """The system calls of a name of SystemCallFilter: one, or a group that starts with @."""
    if not name.startswith("@"):
        return {name}
    run = analyze("syscall-filter", name)
    lines = [line.strip() for line in run.stdout.splitlines()[1:]]
    return set().union(*(system_calls(line) for line in lines if line and line[0] != "#"))


# What the helper process and its start need beside reading and writing.
OF_THE_HELPER = (
    "vfork",
    "memfd_create",
    "fallocate",
    "pwrite64",
    "mmap",
    "execve",
    "pipe2",
    "wait4",
    "kill",
    "poll",
    "fcntl",
    "setpriority",
    "setrlimit",
    "prlimit64",
    "setitimer",
    "rt_sigaction",
)
OF_TEACHING = ("flock", "fsync", "rename", "unlink", "rmdir", "mkdir", "prctl")  # fmt: skip
OF_A_GENERATED_KEY = ("link", "fsync", "unlink")


def test_its_filter_allows_the_system_calls_of_the_helper_process_and_of_teaching() -> None:
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)", UNIT.read_text("utf-8"), re.MULTILINE):
        named: set[str] = set().union(*map(system_calls, line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    assert {*OF_THE_HELPER, *OF_TEACHING, *OF_A_GENERATED_KEY} <= allowed | system_calls("@default")
    assert not {"ptrace", "mount", "setuid", "sched_setscheduler", "chown"} & allowed


def test_an_image_that_takes_all_memory_does_not_stop_the_service() -> None:
    assert "OOMPolicy=continue" in UNIT.read_text("utf-8").splitlines()


def test_its_variables_are_settings() -> None:
    known = {variable(name) for name in Settings.model_fields}
    lines = re.findall(r"^Environment=(.+)", UNIT.read_text("utf-8"), re.MULTILINE)
    named = {name for line in lines for name in re.findall(r"(GATEWAY_\w+)=", line)}
    assert named
    assert named <= known
