"""The images of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
)


@dataclass(slots=True)
class Listing:
    """File names relative to the folder, in order, and how many other files there were."""

    names: list[str] = field(default_factory=list)
    passed_over: int = 0


def list_images(folder: Path, *, recursive: bool) -> Listing:
    """Every file whose suffix is one of images; hidden files and folders are passed over.

    Raises:
        OSError: a folder cannot be read.
    """
    listing = Listing()
    for name in sorted(_files(folder, recursive=recursive)):
        if Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith("."):
            listing.names.append(name)
        else:
            listing.passed_over += 1
    return listing


def _files(folder: Path, *, recursive: bool) -> Iterator[str]:
    for parent, below, files in os.walk(folder, onerror=_fail):
        below[:] = [name for name in below if recursive and not name.startswith(".")]
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _fail(error: OSError) -> None:
    raise error
