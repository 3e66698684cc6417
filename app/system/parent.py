"""The process that started this one."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(pid: int) -> None:
    """Let the kernel kill this process as soon as its parent, the process `pid`, has died.

    More exactly, as soon as the thread of it that started this process has ended.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != pid:  # it has died before
        sys.exit()
