"""The .onnx files of a folder, and how to notice that a file was replaced."""

from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple, Self

from app.errors import ModelFileError


class FileStamp(NamedTuple):
    """Identifies a version of a file: a replaced or modified file has another stamp."""

    inode: int
    modified_ns: int
    changed_ns: int  # of the inode: also changes when permissions do
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> Self:
        status = path.stat()
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def read_stamps(folder: Path) -> dict[Path, FileStamp]:
    """The stamps of all .onnx files of a folder that can be read."""
    stamps = {}
    with suppress(OSError):
        for path in onnx_files(folder):
            with suppress(OSError):
                stamps[path] = FileStamp.of(path)
    return stamps


def stamp(path: Path) -> FileStamp:
    """The stamp of a file.

    Raises:
        ModelFileError: the file cannot be read.
    """
    try:
        kind = path.stat().st_mode
        found = FileStamp.of(path)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    if not S_ISREG(kind) and not S_ISDIR(kind):  # opening a pipe would wait for ever
        raise ModelFileError(f"{path}: this is a pipe, a socket or a device, not a file.")
    return found


def onnx_files(folder: Path) -> list[Path]:
    """The .onnx files of a folder in order, without hidden ones (unfinished exports).

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == ".onnx" and not path.name.startswith(".")
    )


def find_files(folder: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """All .onnx files of a folder, or the named ones in the order of `names`.

    Raises:
        ModelFileError: the folder cannot be read, has no such file, or lacks a named one.
    """
    try:
        found = {path.stem: path for path in onnx_files(folder)}
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"The store {folder} is not a folder. {_ADVICE}") from None
    except OSError as error:
        raise ModelFileError(
            f"Cannot read the store {folder}: {error.strerror or error}. The user of this "
            "process needs permission to list it."
        ) from error
    if not found:
        raise ModelFileError(f"The store {folder} has no .onnx file. {_ADVICE}")
    if missing := [name for name in names if name not in found]:
        raise ModelFileError(
            f"The store {folder} has no {', '.join(missing)}. It has: {', '.join(found)}."
        )
    return [found[name] for name in names] if names else list(found.values())


_ADVICE = "Fetch the default model with `mobilenet-gateway models pull`, or set GATEWAY_STORE."
