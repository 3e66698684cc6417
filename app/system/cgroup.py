"""The control groups (cgroups, versions 1 and 2) that limit this process."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC_SELF_CGROUP = Path("/proc/self/cgroup")


def folders(
    controller: str, cgroup: Path = CGROUP, membership: Path = PROC_SELF_CGROUP
) -> list[Path]:
    """The folders of this process's cgroup and its parents; those of version 1 by controller.

    Not all of them exist.
    """
    return [
        folder
        for controllers, path in _memberships(controller, membership)
        for folder in _upwards(cgroup, controller, controllers, path)
    ]


def _memberships(controller: str, membership: Path) -> list[tuple[str, str]]:
    """(controllers, path) of each line `id:controllers:path`; v2 has no controllers."""
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        lines = []
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    found = [
        (names, path) for _, names, path in parts if not names or controller in names.split(",")
    ]
    return found or [("", "/"), (controller, "/")]


def _upwards(cgroup: Path, controller: str, controllers: str, path: str) -> list[Path]:
    """The folders of a cgroup and its parents; a container may see only the root of its own."""
    roots = [cgroup / controllers, cgroup / controller] if controllers else [cgroup]
    relative = Path(path.lstrip("/"))
    return [root / part for root in roots for part in (relative, *relative.parents)]
