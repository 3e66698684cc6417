"""The .onnx files of a folder: which there are, and what tells one from its successor."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from app.errors import ModelFileError


class FileStamp(NamedTuple):
    """What tells a file from the one that lay at its path before."""

    inode: int
    modified_ns: int
    changed_ns: int  # of the inode: a file that may be read now is worth another look
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The stamp of a file.

        Raises:
            OSError: it cannot be read.
        """
        found = path.stat()
        return cls(found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def look(folder: Path) -> dict[Path, FileStamp]:
    """The stamps of the .onnx files of a folder, as far as they can be had."""
    stamps = {}
    with suppress(OSError):
        for path in onnx_files(folder):
            with suppress(OSError):
                stamps[path] = FileStamp.of(path)
    return stamps


def stamp(path: Path) -> FileStamp:
    """The stamp of a file.

    Raises:
        ModelFileError: it cannot be read.
    """
    try:
        return FileStamp.of(path)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error


def onnx_files(folder: Path) -> list[Path]:
    """The .onnx files of a folder in order, hidden ones (exports in the making) left out.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == ".onnx" and not path.name.startswith(".")
    )


def find_files(folder: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """The .onnx files of a folder, or those of these names in their order.

    Raises:
        ModelFileError: the folder cannot be read, holds none, or lacks a named one.
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
