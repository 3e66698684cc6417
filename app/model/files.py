"""The model files of a folder, and how to notice that one was replaced."""

from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple, Self

from app.errors import ModelFileError
from app.heads.head_file import SUFFIX as HEAD_SUFFIX

MODEL_SUFFIX = ".onnx"
VERSION_FILE = f"model{MODEL_SUFFIX}"
FOREIGN_SUFFIXES = frozenset(  # what `models import` reads; nothing here can
    (".tflite", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt", ".safetensors")
)


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
    """The stamps of all model files of a folder that can be read."""
    stamps = {}
    with suppress(OSError):
        for path in model_files(folder):
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


def is_head(path: Path) -> bool:
    return path.name.endswith(HEAD_SUFFIX)


def is_version(path: Path) -> bool:
    """Whether it is a file of Triton's layout: `NAME/1/model.onnx`."""
    return path.name == VERSION_FILE and path.parent.name.isdecimal()


def place(path: Path) -> Path:
    """What stays the same when a model gets a new file: its path, or the folder of its versions."""
    return path.parent.parent if is_version(path) else path


def file_name(path: Path) -> str:
    """The name of a model file within its store."""
    return "/".join(path.parts[-3:]) if is_version(path) else path.name


def file_stem(path: Path) -> str:
    """The name of a model file without its suffix."""
    if is_version(path):
        return path.parent.parent.name
    return path.name.removesuffix(HEAD_SUFFIX).removesuffix(MODEL_SUFFIX)


def model_files(folder: Path) -> list[Path]:
    """The .onnx files of a folder in order, then the heads; without hidden (unfinished) ones.

    A subfolder in Triton's layout, `NAME/1/model.onnx`, counts as a file: its highest version.

    Raises:
        OSError: the folder cannot be read.
    """
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    found = [path for path in shown if path.suffix == MODEL_SUFFIX or is_head(path)]
    found += filter(None, map(_newest_version, set(shown) - set(found)))
    return sorted(found, key=lambda path: (is_head(path), path))


def _newest_version(folder: Path) -> Path | None:
    """The file of the highest version in Triton's layout; None if it is no such folder."""
    files: list[Path] = []
    with suppress(OSError):
        files = [file for file in folder.glob(f"*/{VERSION_FILE}") if is_version(file)]
    return max(files, key=lambda file: int(file.parent.name), default=None)


def find_files(folder: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """All model files of a folder, or the named ones in the order of `names`, the heads last.

    Raises:
        ModelFileError: the folder cannot be read, has no .onnx file, or lacks a named one.
    """
    try:
        found = model_files(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"The store {folder} is not a folder. {_ADVICE}") from None
    except OSError as error:
        raise ModelFileError(
            f"Cannot read the store {folder}: {error.strerror or error}. The user of this "
            "process needs permission to list it."
        ) from error
    if all(map(is_head, found)):
        advice = import_advice(folder) or _ADVICE
        raise ModelFileError(f"The store {folder} has no .onnx file. {advice}")
    by_name: dict[str, list[Path]] = {}
    for path in found:
        by_name.setdefault(file_stem(path), []).append(path)
    if missing := [name for name in names if name not in by_name]:
        raise ModelFileError(
            f"The store {folder} has no {', '.join(missing)}. It has: {', '.join(by_name)}."
        )
    return sorted((path for name in names for path in by_name[name]), key=is_head) or found


def import_advice(folder: Path) -> str:
    """How to serve the files of other formats in a folder; empty if it has none."""
    with suppress(OSError):
        foreign = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in FOREIGN_SUFFIXES and not path.name.startswith(".")
        )
        if foreign:
            names = ", ".join(path.name for path in foreign)
            return (
                f"{names} cannot be served before an import: "
                f"`mobilenet-gateway models import {foreign[0]}`."
            )
    return ""


_ADVICE = "Fetch the default model with `mobilenet-gateway models pull`, or set GATEWAY_STORE."
