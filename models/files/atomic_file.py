"""Files that take their place whole, whatever happens meanwhile, and that one process writes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


def place(part: Path, path: Path) -> Path:
    """Give a finished file its name, which a power cut does not leave on half of it."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return part.replace(path)


@contextmanager
def placing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends, or vanishes.

    Raises:
        OSError: it cannot be written, such as on a full disk; it names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:  # fmt: skip
        part = Path(file.name)
        try:
            yield file
            file.flush()
            part.chmod(0o644)
            place(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the operating system say which file it is about; a write's does not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def without_a_word(folder: Path) -> None:
    """Wait for another process without saying so."""


@contextmanager
def alone_in(folder: Path, on_wait: Callable[[Path], None] = without_a_word) -> Iterator[None]:
    """Wait until no other process is in this block for the same folder, which is made if needed.

    `on_wait` is told the folder if there is one to wait for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network's file system may have no locks: then nobody waits
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait(folder)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
