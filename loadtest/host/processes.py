"""What the kernel says of processes: who belongs together, memory, processor time (Linux).

A server's helpers may leave its process group or outlive their parent. Once this process has called
`adopt_orphans`, every one of them stays its descendant.
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
    """Memory of some processes together, in bytes.

    `pss` counts a page that n processes map as 1/n; `peak_rss` is the sum of each one's own peak.
    """

    processes: int
    pss_bytes: int
    peak_rss_bytes: int


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> set[int]:
    """All processes below `root`, itself not among them; zombies count."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = children[waiting.pop()]
        found.update(below)
        waiting.extend(below)
    return found


def in_other_sessions(root: int) -> set[int]:
    """Those below `root` that are not in its session (setsid(2)): servers, not our own helpers."""
    own = os.getsid(root)
    return {pid for pid in descendants(root) if (f := _stat(pid)) and int(f[3]) != own}


def memory(pids: set[int]) -> Memory:
    """Memory of the processes that are still there."""
    sizes = [size for pid in pids if (size := _memory(pid))]
    return Memory(len(sizes), sum(pss for pss, _ in sizes), sum(rss for _, rss in sizes))


def cpu_s(pids: set[int]) -> float:
    """Processor time that the processes have used, user and system, in seconds."""
    return sum(int(f[11]) + int(f[12]) for pid in pids if (f := _stat(pid))) / TICKS_PER_S


def kill(pids: set[int]) -> None:
    """End processes that did not end when asked to, and wait until they are gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    give_up_at = time.monotonic() + KILL_S
    while pids and time.monotonic() < give_up_at:
        reap(pids)
        pids = {pid for pid in pids if _stat(pid)}
        time.sleep(0.02)


def reap(pids: set[int]) -> None:
    """Clear away those of the processes that have ended."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third one on (proc(5)), or None if it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _memory(pid: int) -> tuple[int, int] | None:
    """(PSS, peak RSS) of a process in bytes, or None if it is gone."""
    folder = PROC / str(pid)
    try:
        pss = kilobytes((folder / "smaps_rollup").read_text(), "Pss")
        peak_rss = kilobytes((folder / "status").read_text(), "VmHWM")
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None
    return pss * 1024, peak_rss * 1024


def kilobytes(text: str, key: str) -> int:
    """The value of a line `key:  123 kB`.

    Raises:
        KeyError: there is no such line.
    """
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)
