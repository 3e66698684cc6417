"""How much memory a process holds, asked in one of its own that has no other tests' memory."""

import ctypes
import subprocess
import sys
from mmap import PAGESIZE
from pathlib import Path

import pytest

from tests.conftest import ROOT

needs_glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library keeps nothing back"
)


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGESIZE


def numbers(code: str, *arguments: object) -> tuple[list[int], str]:
    """The numbers that a Python of its own prints, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()], done.stderr
