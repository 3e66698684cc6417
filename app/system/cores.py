"""The number of cores that this process may use: its affinity and cgroup quota, not the host's."""

import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC_SELF_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Cores:
    """A number of cores and what determined it."""

    count: int
    reason: str


def usable_cores(cgroup: Path = CGROUP, membership: Path = PROC_SELF_CGROUP) -> Cores:
    """The smaller of the cores in this process's affinity mask and its cgroup's CPU quota.

    The quota is rounded up: half a core still needs a thread, and 1.5 cores can keep two busy.
    """
    if hasattr(os, "sched_getaffinity"):
        affinity = Cores(len(os.sched_getaffinity(0)), "CPU affinity")
    else:
        affinity = Cores(os.cpu_count() or 1, "number of CPUs")
    quota = _quota(cgroup, membership)
    if quota is not None and quota < affinity.count:
        return Cores(max(1, ceil(quota)), f"cgroup quota of {quota:g} CPUs")
    return affinity


def _quota(cgroup: Path, membership: Path) -> float | None:
    """The tightest CPU quota from this process's cgroup up to the root, in cores."""
    quotas = [
        quota
        for controllers, path in _memberships(membership)
        for folder in _upwards(cgroup, controllers, path)
        if (quota := _read_v2(folder) or _read_v1(folder)) is not None
    ]
    return min(quotas, default=None)


def _memberships(membership: Path) -> list[tuple[str, str]]:
    """(controllers, path) of each line `id:controllers:path`; v2 has no controllers."""
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        lines = []
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    found = [(names, path) for _, names, path in parts if not names or "cpu" in names.split(",")]
    return found or [("", "/"), ("cpu", "/")]


def _upwards(cgroup: Path, controllers: str, path: str) -> list[Path]:
    """The folders of a cgroup and its parents; a container may see only the root of its own."""
    roots = [cgroup / controllers, cgroup / "cpu"] if controllers else [cgroup]
    relative = Path(path.lstrip("/"))
    return [root / part for root in roots for part in (relative, *relative.parents)]


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
