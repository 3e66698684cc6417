"""The memory that this process can still get: the machine's, or less where a cgroup limits it."""

from pathlib import Path

from app.system.cgroup import CGROUP, PROC_SELF_CGROUP, folders

MEMINFO = Path("/proc/meminfo")
# The files of cgroup versions 2 and 1: limit, usage, and the name in `memory.stat` of the page
# cache that the kernel gives up first.
FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_bytes(
    meminfo: Path = MEMINFO, cgroup: Path = CGROUP, membership: Path = PROC_SELF_CGROUP
) -> int | None:
    """Bytes that can be allocated without swapping; None if the system does not say."""
    kilobytes = _figures(meminfo).get("MemAvailable")
    found = [] if kilobytes is None else [kilobytes * 1024]
    for folder in folders("memory", cgroup, membership):
        found += [left for names in FILES if (left := _left(folder, *names)) is not None]
    return min(found, default=None)


def _left(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """What a cgroup leaves: its limit without the usage that the kernel cannot reclaim."""
    try:
        limit_bytes = int((folder / limit).read_text("ascii"))
        used = int((folder / usage).read_text("ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None
    cached = _figures(folder / "memory.stat").get(reclaimable, 0)
    return max(0, limit_bytes - max(0, used - cached))


def _figures(file: Path) -> dict[str, int]:
    """Names and figures of the lines `name: figure unit` or `name figure`."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return {}
    parts = [line.replace(":", " ").split() for line in lines]
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}
