"""Signals during the start, before the HTTP server installs its own handlers.

Everything that this module imports delays the handlers.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_workspaces: set[str] = set()


def end_on_stop() -> None:
    """Let a stop end the process at once with status 0, and let a reload do nothing.

    PID 1 ignores SIGTERM by default, and SIGHUP kills any process.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def workspace(parent: os.PathLike[str]) -> Iterator[str]:
    """Make a temporary folder, which a stop during the start removes too."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir=parent) as folder:
        _workspaces.add(folder)
        try:
            yield folder
        finally:
            _workspaces.discard(folder)


def _end(*_: object) -> None:
    """End the process without an exception.

    A handler may run inside an import, where C code swallows SystemExit or reports another error.
    """
    if _workspaces:
        import shutil

        for folder in tuple(_workspaces):  # a thread that loads a model may add one
            shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
