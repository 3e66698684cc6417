"""JPEG (ITU-T T.81): many scans, segments and restarts."""

import struct
from collections.abc import Callable, Sequence
from random import Random

from loadtest.robustness.structured_images.sizes import MAX_FILE_BYTES, random_count, random_sides


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


# Random cases


def _jpeg_scans(random: Random) -> bytes:
    one = random.random() < 0.7
    scans = [(1 + n % 3,) if one else (1, 2, 3) for n in range(random_count(random, 200_000))]
    return jpeg(*random_sides(random), scans=scans)


def _jpeg_progressive(random: Random) -> bytes:
    return progressive_jpeg(*random_sides(random), random_count(random, 200_000))


def _jpeg_segments(random: Random) -> bytes:
    contents = (b"", b"Exif\0\0" + b"A" * 10, b"Photoshop 3.0\0" + b"8BIM\4\0\0\0\0\0\0\0" * 5000,
                b"ICC_PROFILE\0\1\1", b"\0" * 65_000)  # fmt: skip
    one = segment(random.choice((0xE1, 0xE2, 0xE5, 0xED, 0xFE, 0xDB)), random.choice(contents))
    many = one * random_count(random, MAX_FILE_BYTES // len(one))
    if random.random() < 0.5:
        return jpeg(*random_sides(random), header=many)
    return jpeg(*random_sides(random), between=many)


def _jpeg_restarts(random: Random) -> bytes:
    every = segment(0xDD, struct.pack(">H", random_count(random, 1000)))
    coded = b"".join(
        b"\0\xff" + bytes([0xD0 + n % 8]) for n in range(random_count(random, 1_000_000))
    )
    return jpeg(*random_sides(random), header=every, coded=random.choice((b"\0", coded)))


def _jpeg_sampling(random: Random) -> bytes:
    factors = [random.randint(1, 4) << 4 | random.randint(1, 4) for _ in range(3)]
    noise = random.randbytes(random_count(random, 3_000_000)).replace(b"\xff", b"\xfe")
    return jpeg(*random_sides(random), factors=factors, coded=noise)


KINDS: dict[str, Callable[[Random], bytes]] = {
    "jpeg scans": _jpeg_scans,
    "jpeg progressive": _jpeg_progressive,
    "jpeg segments": _jpeg_segments,
    "jpeg restarts": _jpeg_restarts,
    "jpeg sampling": _jpeg_sampling,
}
