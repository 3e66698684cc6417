"""The number of cores that this process may use: its affinity and cgroup quota, not the host's."""

import os
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from app.system.cgroup import CGROUP, PROC_SELF_CGROUP, folders


@dataclass(frozen=True, slots=True)
class Cores:
    """A number of cores and what determined it."""

    count: int
    reason: str


def usable_cores(cgroup: Path = CGROUP, membership: Path = PROC_SELF_CGROUP) -> Cores:
    """The smaller of the cores in this process's affinity mask and its cgroup's CPU quota.

    The quota is rounded up: half a core still needs a thread, and 1.5 cores can keep two busy.
    """
    affinity = _affinity()
    quota = _quota(cgroup, membership)
    if quota is not None and quota < affinity.count:
        return Cores(max(1, ceil(quota)), f"cgroup quota of {quota:g} CPUs")
    return affinity


def whole_cores(cgroup: Path = CGROUP, membership: Path = PROC_SELF_CGROUP) -> int:
    """The cores that this process may use all of the time: as above, the quota rounded down.

    Threads that wait for each other need them: beyond the quota, the kernel stops all of them.
    """
    quota = _quota(cgroup, membership)
    count = _affinity().count
    return count if quota is None else max(1, min(floor(quota), count))


def _affinity() -> Cores:
    if hasattr(os, "sched_getaffinity"):
        return Cores(len(os.sched_getaffinity(0)), "CPU affinity")
    return Cores(os.cpu_count() or 1, "number of CPUs")


def _quota(cgroup: Path, membership: Path) -> float | None:
    """The tightest CPU quota from this process's cgroup up to the root, in cores."""
    quotas = [
        quota
        for folder in folders("cpu", cgroup, membership)
        if (quota := _read_v2(folder) or _read_v1(folder)) is not None
    ]
    return min(quotas, default=None)


def _read_v2(folder: Path) -> float | None:
    """Read `cpu.max`: "quota period" in microseconds, or "max period"."""
    try:
        quota, period = (folder / "cpu.max").read_text("utf-8").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_v1(folder: Path) -> float | None:
    """Read `cpu.cfs_quota_us`, which is -1 without a limit, and its period."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text("utf-8"))
        period = int((folder / "cpu.cfs_period_us").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
