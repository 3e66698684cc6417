"""Writing files atomically, and locking a folder against other processes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


def sync_and_rename(part: Path, path: Path) -> Path:
    """Flush a finished file to disk, then rename it: a power cut leaves no half file at `path`."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return part.replace(path)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, so that files renamed in it survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that replaces `path` when the block ends and is deleted if it fails.

    Raises:
        OSError: the file cannot be written, such as on a full disk; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os_errors_with_path(path), NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:  # fmt: skip
        part = Path(file.name)
        try:
            yield file
            file.flush()
            part.chmod(0o644)
            sync_and_rename(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def os_errors_with_path(path: Path) -> Iterator[None]:
    """Add the path to errors of the operating system; a failed write has none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def folder_lock(folder: Path, on_wait: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, which is created if needed, against other processes.

    `on_wait` is called with the folder if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network file systems may have no locks; go on without one
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait:
                    on_wait(folder)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
