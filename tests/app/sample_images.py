"""Images in memory, whole and harmful."""

import base64
import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from PIL import Image
from skimage import data

EXIF_HEADER = b"Exif\x00\x00"


def encode(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def chelsea() -> Image.Image:
    """The cat that scikit-image ships, 451 x 300."""
    return Image.fromarray(data.chelsea())


def noise(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png_bomb(side: int = 20_000, file_bytes: int = 100_000) -> bytes:
    """A valid black-and-white PNG of 400 million pixels in a file of 100 kB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")]
    missing = file_bytes - 8 - sum(map(len, parts)) - len(_chunk(b"tEXt", b""))
    parts.insert(1, _chunk(b"tEXt", b"Comment\0".ljust(missing, b" ")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def as_base64(image: bytes) -> str:
    return base64.b64encode(image).decode("ascii")


def cat(width: int = 451, height: int = 300) -> Image.Image:
    return chelsea().resize((width, height), Image.Resampling.BICUBIC)


def oriented_exif(orientation: int, order: Literal["<", ">"] = "<") -> bytes:
    """Write the least EXIF block with an orientation."""
    mark = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return EXIF_HEADER + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)
