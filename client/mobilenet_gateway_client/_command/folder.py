"""The images of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".avifs", ".heic", ".heif",
        ".hif", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    )
)  # fmt: skip


@dataclass(slots=True)
class Listing:
    """File names relative to the folder, in order, and the number of other files."""

    names: list[str] = field(default_factory=list)
    skipped: int = 0


def list_images(folder: Path, *, recursive: bool) -> Listing:
    """Every file with the suffix of an image format; skips hidden files and folders.

    Raises:
        OSError: a folder cannot be read.
    """
    listing = Listing()
    for name in sorted(_files(folder, recursive=recursive)):
        if Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith("."):
            listing.names.append(name)
        else:
            listing.skipped += 1
    return listing


def _files(folder: Path, *, recursive: bool) -> Iterator[str]:
    for parent, subfolders, files in os.walk(folder, onerror=_fail):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _fail(error: OSError) -> None:
    raise error
