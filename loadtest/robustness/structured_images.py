"""Images with their structure pushed to its limits: many scans, segments, chunks, blocks or strips.

Unlike mutated bytes, these files are valid as far as a decoder follows them, so they find whatever
in it grows faster than the file.
"""

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from random import Random

from PIL import Image

MAX_FILE_BYTES = 8_000_000
MAX_SIDE = 6320  # squared, just under the default limit of pixels
Tag = tuple[int, int, int, int | bytes]  # TIFF 6.0: number, type, count, value or content


# JPEG (ITU-T T.81)


def segment(marker: int, content: bytes = b"") -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(
    width: int,
    height: int,
    *,
    scans: Sequence[Sequence[int]] = ((1, 2, 3),),
    start_of_frame: int = 0xC0,
    factors: Sequence[int] = (0x11, 0x11, 0x11),
    header: bytes = b"",
    between: bytes = b"",
    coded: bytes = b"\x00",
    spectral: tuple[int, int] = (0, 63),
    trailer: bytes = b"",
) -> bytes:
    """Make a JPEG of empty blocks.

    `scans` lists the components of each scan, `factors` the sampling of each component; `header`
    stands before the frame, `between` before each scan, `coded` in each scan.
    """
    components = b"".join(bytes([n, factor, 0]) for n, factor in enumerate(factors, 1))
    parts = [
        b"\xff\xd8",
        header,
        segment(0xDB, b"\x00" + b"\x01" * 64),
        segment(start_of_frame, struct.pack(">BHHB", 8, height, width, len(factors)) + components),
        # Tables: 0 is the DC difference 0 and 10 one of 5 bits; 0 is also the end of a block
        segment(0xC4, b"\x00" + bytes([1, 1] + [0] * 14) + b"\x00\x05"),
        segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00"),
    ]
    for number, chosen in enumerate(scans):
        first, last = (0, 0) if start_of_frame == 0xC2 and number == 0 else spectral
        selected = b"".join(bytes([component, 0]) for component in chosen)
        parts += [
            between,
            segment(0xDA, bytes([len(chosen)]) + selected + bytes([first, last, 0])),
            coded,
        ]
    return b"".join(parts) + b"\xff\xd9" + trailer


def coded_blocks(width: int, height: int, components: int = 3) -> bytes:
    """The whole data of a scan without subsampling; its pixels are a little lighter than grey."""
    blocks = components * -(-width // 8) * -(-height // 8)
    return b"\xbe" + bytes(-(-(blocks - 1) // 4))  # 10 11111 0, then 00 for each block


def progressive_jpeg(width: int, height: int, scans: int) -> bytes:
    """Make a progressive JPEG: one DC scan, then empty AC scans of one component each."""
    chosen = [(1, 2, 3), *((1 + n % 3,) for n in range(scans - 1))]
    return jpeg(width, height, scans=chosen, start_of_frame=0xC2, spectral=(1, 63))


# PNG (W3C PNG, third edition)


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    row_filter: int = 0,
    before: bytes = b"",
    parts: int = 1,
) -> bytes:
    """Make a black PNG; `before` stands before its image data, which is split into `parts`."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes([row_filter]) + bytes(-(-width * samples * depth // 8))
    rows = height * 2 if interlace else height
    packer = zlib.compressobj(6)
    coded = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    size = max(1, -(-len(coded) // parts))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
        + (chunk(b"PLTE", bytes(768)) if colour == 3 else b"")
        + before
        + b"".join(chunk(b"IDAT", coded[at : at + size]) for at in range(0, len(coded), size))
        + chunk(b"IDAT") * max(0, parts - len(coded))
        + chunk(b"IEND")
    )


# WebP (RFC 9649)


def riff_chunk(kind: bytes, content: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def webp(width: int, height: int, *, before: bytes = b"", frames: int = 0) -> bytes:
    """Make a WebP of one colour, lossless; with `frames` an animation of a small one."""
    image = _lossless(width, height)
    extended = struct.pack("<I", 0x02 if frames else 0)
    extended += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    if frames:
        frame = bytes(6) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        image = riff_chunk(b"ANIM", bytes(6)) + frames * riff_chunk(
            b"ANMF", frame + bytes(4) + image
        )
    body = b"WEBP" + riff_chunk(b"VP8X", extended) + before + image
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _lossless(width: int, height: int) -> bytes:
    """A VP8L chunk without transforms, whose five codes have one symbol of no bits each."""
    bits = 0x2F | (width - 1) << 8 | (height - 1) << 22
    at = 8 + 14 + 14 + 4 + 1 + 1 + 1  # signature, sides, alpha and version, no transform or cache
    for _ in range(5):  # a simple code: one symbol, of one bit, 0
        bits |= 0b0001 << at
        at += 4
    return riff_chunk(b"VP8L", bits.to_bytes(-(-at // 8) + 1, "little"))


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


# AVIF (ISO/IEC 14496-12 and 23008-12)


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


def structured_image(random: Random) -> tuple[str, bytes]:
    """Return the kind of an image, and the image, of at most about `MAX_FILE_BYTES`."""
    kind = random.choice(tuple(KINDS))
    return kind, KINDS[kind](random)


def _count(random: Random, most: int) -> int:
    """A number up to `most`, of every order of magnitude alike, and often the largest."""
    return most if random.random() < 0.15 else round(math.exp(random.uniform(0, math.log(most))))


def _sides(random: Random, most: int = MAX_SIDE) -> tuple[int, int]:
    """Sides of an image: often square and large, sometimes 8 wide."""
    pixels = max(64, _count(random, most * most))
    width = 8 if random.random() < 0.2 else max(8, math.isqrt(pixels))
    return width, max(8, min(65_000, pixels // width))


def _jpeg_scans(random: Random) -> bytes:
    one = random.random() < 0.7
    scans = [(1 + n % 3,) if one else (1, 2, 3) for n in range(_count(random, 200_000))]
    return jpeg(*_sides(random), scans=scans)


def _jpeg_progressive(random: Random) -> bytes:
    return progressive_jpeg(*_sides(random), _count(random, 200_000))


def _jpeg_segments(random: Random) -> bytes:
    contents = (b"", b"Exif\0\0" + b"A" * 10, b"Photoshop 3.0\0" + b"8BIM\4\0\0\0\0\0\0\0" * 5000,
                b"ICC_PROFILE\0\1\1", b"\0" * 65_000)  # fmt: skip
    one = segment(random.choice((0xE1, 0xE2, 0xE5, 0xED, 0xFE, 0xDB)), random.choice(contents))
    many = one * _count(random, MAX_FILE_BYTES // len(one))
    if random.random() < 0.5:
        return jpeg(*_sides(random), header=many)
    return jpeg(*_sides(random), between=many)


def _jpeg_restarts(random: Random) -> bytes:
    every = segment(0xDD, struct.pack(">H", _count(random, 1000)))
    coded = b"".join(b"\0\xff" + bytes([0xD0 + n % 8]) for n in range(_count(random, 1_000_000)))
    return jpeg(*_sides(random), header=every, coded=random.choice((b"\0", coded)))


def _jpeg_sampling(random: Random) -> bytes:
    factors = [random.randint(1, 4) << 4 | random.randint(1, 4) for _ in range(3)]
    noise = random.randbytes(_count(random, 3_000_000)).replace(b"\xff", b"\xfe")
    return jpeg(*_sides(random), factors=factors, coded=noise)


def _png_pixels(random: Random) -> bytes:
    depth, colour = random.choice(((8, 0), (8, 2), (8, 6), (16, 6), (16, 2), (1, 0), (8, 3)))
    width, height = _sides(random)
    return png(
        width, height, depth=depth, colour=colour,
        interlace=random.randint(0, 1), row_filter=random.randint(0, 4),
    )  # fmt: skip


def _png_chunks(random: Random) -> bytes:
    zeros = zlib.compress(bytes(1 << 20), 9)
    one = random.choice((
        chunk(b"teXt"), chunk(b"tEXt", b"a\0"), chunk(b"IDAT"), chunk(b"zTXt", b"a\0\0" + zeros),
        chunk(b"iCCP", b"a\0\0" + zeros), chunk(b"iTXt", b"a\0\1\0\0\0" + zeros),
        chunk(b"acTL", bytes(8)), chunk(b"tIME", bytes(7)),
    ))  # fmt: skip
    return png(*_sides(random, 1000), before=one * _count(random, MAX_FILE_BYTES // len(one)))


def _png_parts(random: Random) -> bytes:
    return png(*_sides(random, 1000), parts=_count(random, 400_000))


def _webp_chunks(random: Random) -> bytes:
    many = riff_chunk(b"ABCD") * _count(random, MAX_FILE_BYTES // 8)
    return webp(*_sides(random), before=many)


def _webp_frames(random: Random) -> bytes:
    return webp(*_sides(random), frames=_count(random, 100_000))


def _gif_blocks(random: Random) -> bytes:
    many = _count(random, 1_000_000)
    before = random.choice((
        b"!\xfe\x01a\x00" * many,
        b"!\xfe" + b"\x01a" * many + b"\0",
        b"!\xf9\x04\0\0\0\0\0" * many,
        b"!\xff\x0bNETSCAPE2.0" + b"\1a" * many + b"\0",
        b"\x01" * many,
    ))  # fmt: skip
    return gif(*_sides(random, 2000), before=before)


def _gif_codes(random: Random) -> bytes:
    return gif(*_sides(random, 2500), clears=_count(random, 1_000_000))


def _gif_frames(random: Random) -> bytes:
    return gif(*_sides(random, 1000), frames=_count(random, 50_000))


def _bmp_runs(random: Random) -> bytes:
    one = random.choice((b"\x01\x02", b"\xff\x02", b"\0\0", b"\0\2\1\1", b"\x01\x02\0\0"))
    bits, compression = random.choice(((8, 1), (4, 2)))
    many = one * _count(random, MAX_FILE_BYTES // len(one))
    return bmp(*_sides(random), many, bits=bits, compression=compression)


def _tiff_strips(random: Random) -> bytes:
    height = _count(random, 900_000)
    width = max(8, min(8000, MAX_SIDE * MAX_SIDE // height))
    deflated = zlib.compress(bytes(width)) + bytes(_count(random, 500_000))
    if random.random() < 0.5:
        return striped_tiff(width, max(8, height), bytes(width))
    return striped_tiff(width, max(8, height), deflated, DEFLATE)


def _tiff_tiles(random: Random) -> bytes:
    tile_side = random.choice((16, 64, 512))
    scans = [(1,)] * _count(random, 100)
    tile = jpeg(tile_side, tile_side, scans=scans, factors=(0x11,))
    most = min(MAX_SIDE, tile_side * math.isqrt(MAX_FILE_BYTES // 8))
    side = max(tile_side, _count(random, most) // tile_side * tile_side)
    return tiled_tiff(side, tile_side, tile)


def _tiff_tags(random: Random) -> bytes:
    rational = b"\x01\0\0\0\x03\0\0\0"
    each = _count(random, 500_000)
    numbers = range(1000, 1000 + min(59_000, max(1, _count(random, MAX_FILE_BYTES // 8 // each))))
    tags: list[Tag] = [(n, 5, each, rational * each) for n in numbers]
    strips: list[Tag] = [(273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 64 * 64)]
    return tiff(grey_tags(64, 64) + strips + tags, bytes(64 * 64))


def _avif_pixels(random: Random) -> bytes:
    return avif(*_sides(random, 1500))


def _avif_boxes(random: Random) -> bytes:
    one = random.choice((box(b"free"), box(b"mdat"), full_box(b"meta"), box(b"moov", box(b"trak"))))
    return avif(64, 64, trailer=one * _count(random, MAX_FILE_BYTES // len(one)))


def _avif_items(random: Random) -> bytes:
    items = _count(random, 65_535)
    extents = _count(random, min(65_535, MAX_FILE_BYTES // 8 // items))
    return avif_of_items(items, extents, _count(random, 100_000))


KINDS: dict[str, Callable[[Random], bytes]] = {
    "jpeg scans": _jpeg_scans,
    "jpeg progressive": _jpeg_progressive,
    "jpeg segments": _jpeg_segments,
    "jpeg restarts": _jpeg_restarts,
    "jpeg sampling": _jpeg_sampling,
    "png pixels": _png_pixels,
    "png chunks": _png_chunks,
    "png parts": _png_parts,
    "webp chunks": _webp_chunks,
    "webp frames": _webp_frames,
    "gif blocks": _gif_blocks,
    "gif codes": _gif_codes,
    "gif frames": _gif_frames,
    "bmp runs": _bmp_runs,
    "tiff strips": _tiff_strips,
    "tiff tiles": _tiff_tiles,
    "tiff tags": _tiff_tags,
    "avif pixels": _avif_pixels,
    "avif boxes": _avif_boxes,
    "avif items": _avif_items,
}
