"""File descriptors, of which each connection takes one."""

import resource
from contextlib import suppress
from pathlib import Path

SPARE = 16  # for files of the store, the helper process, a trace


def connections_within_limit(wanted: int) -> int:
    """Raise this process's limit if that is allowed; return how many connections it leaves."""
    taken = _open_now() + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + taken:
        raised = wanted + taken
        if hard != resource.RLIM_INFINITY:
            raised = min(raised, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - taken))


def _open_now() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return 64
    return len(list(folder.iterdir()))
