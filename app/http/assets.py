"""The files of the web page, as they are sent: read once, compressed once, named by their content.

The page is the same wherever this version runs and holds nothing of this installation, so it needs
no key; whatever it shows is asked for with one.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
PREFIX = "/static/"
DOCUMENTS = {"/": "index.html", "/docs": "docs.html"}
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `etag` is weak, because it stands for both forms of it."""

    media_type: str
    etag: str
    plain: bytes
    gzipped: bytes


@cache
def names() -> frozenset[str]:
    """Every file that may be asked for, by its path below the folder; licences stay inside."""
    return frozenset(
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*")
        if path.suffix in MEDIA_TYPES
    )


@cache
def paths() -> frozenset[str]:
    """Every path of the service at which there is a file of the page."""
    return frozenset(DOCUMENTS) | {PREFIX + name for name in names()}


@cache
def asset(name: str) -> Asset:
    """One of `names`.

    Raises:
        KeyError: it is none of them, so that no path of a request ever reaches the disk.
    """
    if name not in names():
        raise KeyError(name)
    plain = (FOLDER / name).read_bytes()
    return Asset(
        media_type=MEDIA_TYPES[Path(name).suffix],
        etag=f'W/"{sha256(plain).hexdigest()[:16]}"',
        plain=plain,
        gzipped=gzip.compress(plain, mtime=0),
    )
