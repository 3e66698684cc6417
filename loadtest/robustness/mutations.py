"""Small images in every supported format, and random mutations of bytes."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np
from PIL import Image

# Lengths, offsets and sizes that parsers often handle wrongly.
EDGES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MAX_MUTATIONS = 8
MAX_BLOCK_BYTES = 64
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@cache
def corpus() -> tuple[bytes, ...]:
    """Return valid images, a few kB each."""
    photo = _photo()
    palette, alpha = photo.quantize(16), photo.copy()
    alpha.putalpha(128)
    deep = Image.fromarray((np.arange(96 * 64, dtype=np.uint16) * 10).reshape(64, 96))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    frames = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    return (
        _save(photo, "JPEG"),
        _save(photo, "JPEG", progressive=True, quality=95, subsampling=0),
        _save(photo.convert("L"), "JPEG", exif=rotated),
        _save(photo.convert("CMYK"), "JPEG"),
        _save(photo, "PNG"),
        _save(palette, "PNG", transparency=3),
        _save(photo.convert("1"), "PNG"),
        _save(deep, "PNG"),
        _save(photo, "PNG", **frames),
        _save(photo, "WEBP"),
        _save(alpha, "WEBP", lossless=True),
        _save(photo, "WEBP", **frames),
        _save(photo, "BMP"),
        _save(palette, "BMP"),
        _save(palette, "GIF", transparency=3),
        _save(photo, "GIF", **frames),
        _save(deep, "TIFF"),
        _save(photo.convert("CMYK"), "TIFF", compression="raw"),
        *(
            _save(photo, "TIFF", compression=compression)
            for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg")
        ),
    )


def mutated_image(random: Random) -> bytes:
    """Return an image with 0 to `MAX_MUTATIONS` mutations."""
    image = bytearray(random.choice(corpus()))
    mutate(random, image, random.randrange(MAX_MUTATIONS + 1))
    if image.startswith(PNG_SIGNATURE) and random.random() < 0.5:
        return _with_checksums(bytes(image))
    return bytes(image)


def mutate(random: Random, data: bytearray, times: int) -> None:
    for _ in range(times):
        if len(data) > 1:
            random.choice(MUTATIONS)(random, data)


def _flip(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, data: bytearray) -> None:
    start, size = _block(random, data)
    data[start : start + size] = random.randbytes(size)


def _edge(random: Random, data: bytearray) -> None:
    """Overwrite a number with one of `EDGES`, mostly near the start."""
    width = random.choice("BHI")
    order = random.choice("<>")
    number = struct.pack(
        f"{order}{width}", random.choice(EDGES) & (256 ** struct.calcsize(width) - 1)
    )
    reach = min(len(data), 64) if random.random() < 0.7 else len(data)
    start = random.randrange(reach)
    data[start : start + len(number)] = number


def _cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(1, len(data)) :]


def _drop(random: Random, data: bytearray) -> None:
    start, size = _block(random, data)
    del data[start : start + size]


def _insert(random: Random, data: bytearray) -> None:
    start, size = _block(random, data)
    data[start:start] = random.randbytes(size)


def _repeat(random: Random, data: bytearray) -> None:
    start, size = _block(random, data)
    data[start:start] = data[start : start + size] * random.randrange(1, 20)


def _swap(random: Random, data: bytearray) -> None:
    size = _block(random, data)[1]
    first, second = (random.randrange(len(data)) for _ in range(2))
    one, other = data[first : first + size], data[second : second + size]
    data[first : first + size], data[second : second + size] = other, one


def _splice(random: Random, data: bytearray) -> None:
    """Continue with the bytes of another image."""
    other = random.choice(corpus())
    start = random.randrange(len(data))
    data[start:] = other[min(start, len(other)) :]


Mutation = Callable[[Random, bytearray], None]
MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _overwrite, _edge, _edge, _edge, _cut, _drop, _insert, _repeat, _swap, _splice,
)  # fmt: skip


def _block(random: Random, data: bytearray) -> tuple[int, int]:
    return random.randrange(len(data)), random.randrange(1, MAX_BLOCK_BYTES)


def _with_checksums(image: bytes) -> bytes:
    """Correct the checksums of a PNG, so that the mutations reach the decoder."""
    chunks = [PNG_SIGNATURE]
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(image):
        size = int.from_bytes(image[at : at + 4], "big")
        content = image[at + 4 : at + 8 + size]
        chunks += [image[at : at + 4], content, struct.pack(">I", zlib.crc32(content))]
        at += 12 + size
    return b"".join(chunks)


def _photo() -> Image.Image:
    """Make an image with edges, gradients and noise."""
    random = np.random.default_rng(0)
    gradients = np.add.outer(np.arange(64) * 3, np.arange(96) * 2)[..., np.newaxis]
    noise = random.integers(0, 40, (64, 96, 3))
    pixels = (gradients * (1, 2, 3) + noise) % 256
    return Image.fromarray(pixels.astype(np.uint8))


def _save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
