"""The images that a command's arguments name: files, and those of folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".avifs", ".heic", ".heif",
        ".hif", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    )
)  # fmt: skip


def image_files(paths: Iterable[Path], *, recursive: bool) -> list[Path]:
    """Files as they are, and in place of a folder its images in order of their names.

    Hidden files and folders, and files without the suffix of an image format, are left out. A
    folder without images stays, so that its error is reported.
    """
    found: list[Path] = []
    for path in paths:
        images = sorted(_images(path, recursive=recursive)) if path.is_dir() else []
        found += images or [path]
    return found


def _images(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(parent) / name
