"""PNG and WebP: many chunks, parts and frames."""

import struct
import zlib
from collections.abc import Callable
from random import Random

from loadtest.robustness.structured_images.sizes import MAX_FILE_BYTES, random_count, random_sides

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


# Random cases


def _png_pixels(random: Random) -> bytes:
    depth, colour = random.choice(((8, 0), (8, 2), (8, 6), (16, 6), (16, 2), (1, 0), (8, 3)))
    width, height = random_sides(random)
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
    return png(
        *random_sides(random, 1000), before=one * random_count(random, MAX_FILE_BYTES // len(one))
    )


def _png_parts(random: Random) -> bytes:
    return png(*random_sides(random, 1000), parts=random_count(random, 400_000))


def _webp_chunks(random: Random) -> bytes:
    many = riff_chunk(b"ABCD") * random_count(random, MAX_FILE_BYTES // 8)
    return webp(*random_sides(random), before=many)


def _webp_frames(random: Random) -> bytes:
    return webp(*random_sides(random), frames=random_count(random, 100_000))


KINDS: dict[str, Callable[[Random], bytes]] = {
    "png pixels": _png_pixels,
    "png chunks": _png_chunks,
    "png parts": _png_parts,
    "webp chunks": _webp_chunks,
    "webp frames": _webp_frames,
}
