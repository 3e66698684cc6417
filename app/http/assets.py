"""The files of the web page, read and compressed once.

The files contain nothing of this installation but the formats that it decodes, so they need no API
key. The requests that the page sends do.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from app.images.plugins.heif import heic_is_installed

FOLDER = Path(__file__).with_name("static")
PREFIX = "/static/"
DOCUMENTS = {
    "/": "index.html",
    "/teach": "teach.html",
    "/watch": "watch.html",
    "/docs": "docs.html",
}
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `etag` is weak, because it identifies the plain and the compressed form."""

    media_type: str
    etag: str
    plain: bytes
    gzipped: bytes


@cache
def names() -> frozenset[str]:
    """Paths of all served files, relative to the folder; licence files are not served."""
    return frozenset(
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*")
        if path.suffix in MEDIA_TYPES
    )


@cache
def paths() -> frozenset[str]:
    """Paths of the service at which a file of the page is served."""
    return frozenset(DOCUMENTS) | {PREFIX + name for name in names()}


@cache
def asset(name: str) -> Asset:
    """Load one of `names`.

    Raises:
        KeyError: the name is not in `names`; no path of a request ever reaches the disk.
    """
    if name not in names():
        raise KeyError(name)
    plain = (FOLDER / name).read_bytes()
    if heic_is_installed():  # else iPhones convert to JPEG what the page does not list
        plain = plain.replace(b"image/bmp,", b"image/heic,image/heif,image/bmp,")
    return Asset(
        media_type=MEDIA_TYPES[Path(name).suffix],
        etag=f'W/"{sha256(plain).hexdigest()[:16]}"',
        plain=plain,
        gzipped=gzip.compress(plain, mtime=0),
    )
