"""AVIF (ISO/IEC 14496-12 and 23008-12): many boxes and items."""

import struct
from collections.abc import Callable
from io import BytesIO
from random import Random

from PIL import Image

from loadtest.robustness.structured_images.sizes import MAX_FILE_BYTES, random_count, random_sides


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, *content: bytes) -> bytes:
    return box(kind, bytes(4), *content)  # version 0 without flags


def avif(width: int, height: int, *, trailer: bytes = b"") -> bytes:
    """Make a grey AVIF with Pillow's encoder; `trailer` are the boxes behind it."""
    file = BytesIO()
    Image.new("L", (width, height), 99).save(file, "AVIF", speed=10)
    return file.getvalue() + trailer


def avif_of_items(items: int, extents: int, properties: int) -> bytes:
    """Make an AVIF of many items with many extents and properties each, all at the same place."""
    place = struct.pack(">II", 0, 1)
    numbers = [struct.pack(">H", number) for number in range(1, items + 1)]
    located = [n + bytes(2) + struct.pack(">H", extents) + place * extents for n in numbers]
    infos = [box(b"infe", b"\2\0\0\0", n, bytes(2), b"av01", b"\0") for n in numbers]
    sizes = full_box(b"ispe", struct.pack(">II", 64, 64))
    meta = full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iloc", b"\x44\0", struct.pack(">H", items), *located),
        full_box(b"iinf", struct.pack(">H", items), *infos),
        box(b"iprp", box(b"ipco", sizes * properties)),
    )
    return box(b"ftyp", b"avif", bytes(4), b"avifmif1") + meta + box(b"mdat", bytes(64))


# Random cases


def _avif_pixels(random: Random) -> bytes:
    return avif(*random_sides(random, 1500))


def _avif_boxes(random: Random) -> bytes:
    one = random.choice((box(b"free"), box(b"mdat"), full_box(b"meta"), box(b"moov", box(b"trak"))))
    return avif(64, 64, trailer=one * random_count(random, MAX_FILE_BYTES // len(one)))


def _avif_items(random: Random) -> bytes:
    items = random_count(random, 65_535)
    extents = random_count(random, min(65_535, MAX_FILE_BYTES // 8 // items))
    return avif_of_items(items, extents, random_count(random, 100_000))


KINDS: dict[str, Callable[[Random], bytes]] = {
    "avif pixels": _avif_pixels,
    "avif boxes": _avif_boxes,
    "avif items": _avif_items,
}
