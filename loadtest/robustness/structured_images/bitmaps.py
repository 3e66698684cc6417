"""GIF, BMP and TIFF: many blocks, runs, strips, tiles and tags."""

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

from loadtest.robustness.structured_images.jpeg import jpeg
from loadtest.robustness.structured_images.sizes import (
    MAX_FILE_BYTES,
    MAX_SIDE,
    random_count,
    random_sides,
)

# GIF (GIF89a)


def gif(width: int, height: int, *, before: bytes = b"", clears: int = 1, frames: int = 1) -> bytes:
    """Make a GIF; `clears` pairs of a clear code and a pixel, in each frame."""
    pattern = sum((0x100 | n % 2 << 9) << 18 * n for n in range(8)).to_bytes(18, "little")
    coded = pattern * max(1, clears // 8)
    blocks = b"".join(
        bytes([len(coded[at : at + 255])]) + coded[at : at + 255]
        for at in range(0, len(coded), 255)
    )
    image = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08" + blocks + b"\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + bytes(768)
    return head + before + image * frames + b";"


# BMP (Windows GDI)


def bmp(width: int, height: int, coded: bytes, *, bits: int = 8, compression: int = 1) -> bytes:
    """Make a BMP with a palette; compression 1 and 2 are runs of 8 and 4 bits."""
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(coded), 0, 0, 1 << bits, 0
    )
    start = 14 + len(info) + 4 * (1 << bits)
    return (
        b"BM" + struct.pack("<IHHI", start + len(coded), 0, 0, start) + info
        + bytes(4 * (1 << bits)) + coded
    )  # fmt: skip


# TIFF (TIFF 6.0)

Tag = tuple[int, int, int, int | bytes]  # number, type, count, value or content
NONE, JPEG_IN_TIFF, DEFLATE = 1, 7, 8


def tiff(tags: Sequence[Tag], content: bytes) -> bytes:
    """Make a little-endian TIFF; `content` stands at offset 8, long values behind it."""
    data, entries = bytearray(content), []
    for number, kind, count, value in sorted(tags, key=lambda tag: tag[0]):
        if isinstance(value, bytes) and len(value) > 4:
            data += bytes(len(data) % 2)
            packed = struct.pack("<I", 8 + len(data))
            data += value
        else:
            packed = value.ljust(4, b"\0") if isinstance(value, bytes) else struct.pack("<I", value)
        entries.append(struct.pack("<HHI", number, kind, count) + packed)
    data += bytes(len(data) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + bytes(data) + directory


def grey_tags(width: int, height: int, compression: int = NONE) -> list[Tag]:
    return [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression),
        (262, 3, 1, 1), (277, 3, 1, 1),
    ]  # fmt: skip


def striped_tiff(width: int, height: int, strip: bytes, compression: int = NONE) -> bytes:
    """Make a TIFF of strips of one row, which all lie at the same place."""
    place, size = struct.pack("<I", 8), struct.pack("<I", len(strip))
    strips: list[Tag] = [
        (273, 4, height, place * height), (278, 4, 1, 1), (279, 4, height, size * height),
    ]  # fmt: skip
    return tiff(grey_tags(width, height, compression) + strips, strip)


def tiled_tiff(side: int, tile_side: int, tile: bytes, compression: int = JPEG_IN_TIFF) -> bytes:
    """Make a square TIFF of tiles that all lie at the same place."""
    count = (side // tile_side) ** 2
    place, size = struct.pack("<I", 8), struct.pack("<I", len(tile))
    tiles: list[Tag] = [
        (322, 3, 1, tile_side), (323, 3, 1, tile_side), (324, 4, count, place * count),
        (325, 4, count, size * count),
    ]  # fmt: skip
    return tiff(grey_tags(side, side, compression) + tiles, tile)


# Random cases


def _gif_blocks(random: Random) -> bytes:
    many = random_count(random, 1_000_000)
    before = random.choice((
        b"!\xfe\x01a\x00" * many,
        b"!\xfe" + b"\x01a" * many + b"\0",
        b"!\xf9\x04\0\0\0\0\0" * many,
        b"!\xff\x0bNETSCAPE2.0" + b"\1a" * many + b"\0",
        b"\x01" * many,
    ))  # fmt: skip
    return gif(*random_sides(random, 2000), before=before)


def _gif_codes(random: Random) -> bytes:
    return gif(*random_sides(random, 2500), clears=random_count(random, 1_000_000))


def _gif_frames(random: Random) -> bytes:
    return gif(*random_sides(random, 1000), frames=random_count(random, 50_000))


def _bmp_runs(random: Random) -> bytes:
    one = random.choice((b"\x01\x02", b"\xff\x02", b"\0\0", b"\0\2\1\1", b"\x01\x02\0\0"))
    bits, compression = random.choice(((8, 1), (4, 2)))
    many = one * random_count(random, MAX_FILE_BYTES // len(one))
    return bmp(*random_sides(random), many, bits=bits, compression=compression)


def _tiff_strips(random: Random) -> bytes:
    height = random_count(random, 900_000)
    width = max(8, min(8000, MAX_SIDE * MAX_SIDE // height))
    deflated = zlib.compress(bytes(width)) + bytes(random_count(random, 500_000))
    if random.random() < 0.5:
        return striped_tiff(width, max(8, height), bytes(width))
    return striped_tiff(width, max(8, height), deflated, DEFLATE)


def _tiff_tiles(random: Random) -> bytes:
    tile_side = random.choice((16, 64, 512))
    scans = [(1,)] * random_count(random, 100)
    tile = jpeg(tile_side, tile_side, scans=scans, factors=(0x11,))
    most = min(MAX_SIDE, tile_side * math.isqrt(MAX_FILE_BYTES // 8))
    side = max(tile_side, random_count(random, most) // tile_side * tile_side)
    return tiled_tiff(side, tile_side, tile)


def _tiff_tags(random: Random) -> bytes:
    rational = b"\x01\0\0\0\x03\0\0\0"
    each = random_count(random, 500_000)
    numbers = range(
        1000, 1000 + min(59_000, max(1, random_count(random, MAX_FILE_BYTES // 8 // each)))
    )
    tags: list[Tag] = [(n, 5, each, rational * each) for n in numbers]
    strips: list[Tag] = [(273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 64 * 64)]
    return tiff(grey_tags(64, 64) + strips + tags, bytes(64 * 64))


KINDS: dict[str, Callable[[Random], bytes]] = {
    "gif blocks": _gif_blocks,
    "gif codes": _gif_codes,
    "gif frames": _gif_frames,
    "bmp runs": _bmp_runs,
    "tiff strips": _tiff_strips,
    "tiff tiles": _tiff_tiles,
    "tiff tags": _tiff_tags,
}
