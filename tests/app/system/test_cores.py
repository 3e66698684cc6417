"""How many cores a process may use: made-up cgroup folders, and a real affinity mask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.system.cores import Cores, usable_cores, whole_cores
from tests.conftest import ROOT

MINE = len(os.sched_getaffinity(0))
ONE = Cores(1, "cgroup quota of 0.5 CPUs")
pytestmark = pytest.mark.skipif(MINE < 2, reason="needs two cores to tell a quota from affinity")


def cgroup(folder: Path, files: dict[str, str], membership: str | None) -> Cores:
    """What is found with these files below the cgroup root and this /proc/self/cgroup."""
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if membership is not None:
        (folder / "self").write_text(membership)
    return usable_cores(folder / "cgroup", folder / "self")


@pytest.mark.parametrize(
    ("files", "membership"),
    [
        pytest.param({"cpu.max": "50000 100000\n"}, "0::/\n", id="v2-root"),
        pytest.param({"a/b/cpu.max": "50000 100000"}, "0::/a/b\n", id="v2-own-group"),
        pytest.param(
            {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", id="v2-parent"
        ),
        pytest.param(
            {"cpu.max": "150000 100000", "a/cpu.max": "50000 100000"}, "0::/a", id="v2-tightest"
        ),
        pytest.param({"cpu.max": "50000 100000"}, "0::/not/seen/inside\n", id="v2-in-a-container"),
        pytest.param({"cpu.max": "50000 100000"}, None, id="v2-no-membership"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "7:memory:/x\n4:cpu,cpuacct:/\n",
            id="v1",
        ),
        pytest.param(
            {
                "cpu,cpuacct/pod/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/pod/cpu.cfs_period_us": "100000",
            },
            "4:cpu,cpuacct:/pod\n",
            id="v1-own-group",
        ),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
            None,
            id="v1-no-membership",
        ),
    ],
)
def test_a_quota_of_half_a_core_needs_one_thread(
    tmp_path: Path, files: dict[str, str], membership: str | None
) -> None:
    assert cgroup(tmp_path, files, membership) == ONE


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="no-files"),
        pytest.param({"cpu.max": "max 100000"}, id="v2-max"),
        pytest.param({"cpu.max": "many"}, id="v2-garbage"),
        pytest.param({"cpu.max": "1 0"}, id="v2-no-period"),
        pytest.param({"cpu.max": "99900000 100000"}, id="v2-more-than-there-are"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, id="v1-no-limit"
        ),
        pytest.param({"cpu/cpu.cfs_quota_us": "50000"}, id="v1-no-period"),
    ],
)
def test_without_a_quota_the_affinity_counts(tmp_path: Path, files: dict[str, str]) -> None:
    assert cgroup(tmp_path, files, "4:cpu:/\n0::/\n") == Cores(MINE, "CPU affinity")


def test_one_and_a_half_cores_keep_two_threads_busy(tmp_path: Path) -> None:
    found = cgroup(tmp_path, {"cpu.max": "150000 100000"}, "0::/")
    assert found == Cores(2, "cgroup quota of 1.5 CPUs") or MINE == 1


@pytest.mark.parametrize(
    ("quota", "whole"),
    [("50000", 1), ("100000", 1), ("150000", 1), ("200000", 2), ("250000", 2), ("99900000", MINE)],
)
def test_a_part_of_a_core_is_no_whole_core(tmp_path: Path, quota: str, whole: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    (tmp_path / "self").write_text("0::/\n")
    assert whole_cores(tmp_path, tmp_path / "self") == min(whole, MINE)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_membership_file_is_too_strange(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    (folder / "self").write_text(text, "utf-8")
    assert usable_cores(folder, folder / "self") == Cores(MINE, "CPU affinity")


def test_a_process_bound_to_one_core_uses_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from app.system.cores import usable_cores, whole_cores; "
        "assert whole_cores() == 1; print(usable_cores())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout.startswith("Cores(count=1, ")


def test_this_process_has_at_least_one_core() -> None:
    assert 1 <= usable_cores().count <= MINE


def test_where_affinity_is_unknown_the_cpus_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, which has no such call."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cgroup(tmp_path, {}, None) == Cores(os.cpu_count() or 1, "number of CPUs")
