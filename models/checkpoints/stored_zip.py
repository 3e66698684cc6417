"""Zip archives of plain, uncompressed bytes, as torch and Keras write them."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.checkpoints.checkpoint import CheckpointError

START = b"PK\x03\x04"
# what the standard library's reader raises for a damaged one (RuntimeError: encrypted)
DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def is_zip(path: Path) -> bool:
    """Whether a file starts like an archive that has something in it."""
    with path.open("rb") as file:
        return file.read(len(START)) == START


def holds(path: Path, name: str) -> bool:
    """Whether an archive that can be read has an entry of this name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except DAMAGED:
        return False


def names(content: bytes) -> list[str]:
    """What an archive says that is in it, whether that can be read or not.

    Raises:
        CheckpointError: it is no archive, or a damaged one.
    """
    with _open(content) as archive:
        return archive.namelist()


def read_entries(content: bytes) -> dict[str, bytes]:
    """Bytes of each entry, none of which is compressed, told twice, or more than the file holds.

    Raises:
        CheckpointError: it is no such archive, or a damaged one.
    """
    with _open(content) as archive:
        entries = archive.infolist()
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise CheckpointError(
                    f"{entry.filename} is compressed; torch and Keras store plain bytes"
                )
        names = {entry.filename for entry in entries}
        if len(names) != len(entries) or sum(entry.file_size for entry in entries) > len(content):
            raise CheckpointError("entries of the zip overlap or share a name")
        return {entry.filename: archive.read(entry) for entry in entries}


@contextmanager
def _open(content: bytes) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield archive
    except DAMAGED as error:
        raise CheckpointError(f"the zip is damaged ({error})") from error
