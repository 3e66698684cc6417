"""Process trees on Linux: descendants, memory, CPU time.

A server's child processes may leave its process group or outlive their parent. Once this process
has called `adopt_orphans`, all of them stay its descendants.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KILL_S = 5.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Total memory of several processes, in bytes.

    PSS counts a page that n processes map as 1/n; `peak_rss_bytes` is the sum of the processes'
    own peaks.
    """

    processes: int
    pss_bytes: int
    peak_rss_bytes: int


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (child subreaper)."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> set[int]:
    """Return the processes below `root`, without `root` and with zombies."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found: set[int] = set()
    to_visit = [root]
    while to_visit:
        below = children[to_visit.pop()]
        found.update(below)
        to_visit.extend(below)
    return found


def in_other_sessions(root: int) -> set[int]:
    """Return the descendants outside the session of `root` (setsid(2)).

    Servers start in a session of their own; this process's load generators do not.
    """
    own = os.getsid(root)
    return {pid for pid in descendants(root) if (f := _stat(pid)) and int(f[3]) != own}


def memory(pids: set[int]) -> Memory:
    """Return the memory of those processes that still run."""
    sizes = [size for pid in pids if (size := _memory(pid))]
    return Memory(len(sizes), sum(pss for pss, _ in sizes), sum(rss for _, rss in sizes))


def cpu_s(pids: set[int]) -> float:
    """Return the CPU time of the processes, user and system, in seconds."""
    return sum(int(f[11]) + int(f[12]) for pid in pids if (f := _stat(pid))) / TICKS_PER_S


def kill(pids: set[int]) -> None:
    """Kill processes that ignored SIGTERM, and wait until they are gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    give_up_at = time.monotonic() + KILL_S
    while pids and time.monotonic() < give_up_at:
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        pids = {pid for pid in pids if _stat(pid)}
        time.sleep(0.02)


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat (proc(5)) from the third on, or None if it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _memory(pid: int) -> tuple[int, int] | None:
    """Return (PSS, peak RSS) of a process in bytes, or None if it is gone."""
    folder = PROC / str(pid)
    try:
        pss = kilobytes((folder / "smaps_rollup").read_text(), "Pss")
        peak_rss = kilobytes((folder / "status").read_text(), "VmHWM")
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None
    return pss * 1024, peak_rss * 1024


def kilobytes(text: str, key: str) -> int:
    """Return the value of a line `key:  123 kB`.

    Raises:
        KeyError: no line has this key.
    """
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)
