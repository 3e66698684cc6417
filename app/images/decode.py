"""Decode an image file to the RGB input of a model: sniff, check, decode, crop, resize.

    bytes ─ sniff ─ open header ─ check limits ─ draft ─ decode ─ crop box ─ resize ─ RGB array
            │        │             │                      │
            │        DamagedImage  TooManyPixels,         DamagedImage
            │                      ImageTooSmall, UnsupportedFormat
            EmptyBody, NotAnImage, UnsupportedFormat

The image is decoded once, at the smallest scale that does not require enlarging, and only the crop
is resized. EXIF orientation is applied to the small result, not to the full image. Transparent
pixels are composited over white, 16-bit grey is scaled to 8 bits, and the first frame of an
animation or page of a document is used. ICC profiles are ignored, as in the evaluation of the
published weights.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import inf
from typing import TYPE_CHECKING

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import (
    DamagedImage,
    ImageError,
    ImageTooSmall,
    OutOfMemory,
    TooManyPixels,
    UnsupportedFormat,
)
from app.images.chunk_bound import png_bound_ns, webp_bound_ns
from app.images.crop import CropRule, crop_box, exif_orientation, needed_side
from app.images.decode_memory import SMALL_BYTES, UNLIMITED, DecodeMemory
from app.images.formats import PLUGINS, sniff
from app.images.jpeg_bound import jpeg_bound_ns
from app.images.limits import ImageLimits

if TYPE_CHECKING:
    from app.arrays import Uint8Array

log = logging.getLogger(__name__)

# Pillow modes without an agreed display range, or that Pillow cannot convert to RGB.
UNSUPPORTED_MODES = {
    "I": "32-bit integer",
    "F": "floating-point",
    "LAB": "CIELAB",
    "La": "premultiplied grey",
}

# The codecs that photos use. With the fax codecs libtiff writes a line to stderr per bad row.
TIFF_COMPRESSIONS = frozenset(
    ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg")
)

# The maximum measured for each format; docs/operations.md has the table, and a test repeats it.
BYTES_PER_PIXEL = {"PNG": 17, "WebP": 16, "TIFF": 12, "GIF": 9, "BMP": 4}

# A decoder cannot be interrupted, so what a worker decodes is bounded beforehand. Bounds are sums
# of maxima: images at this limit take 60 to 110 ms.
MAX_BOUND_NS = 150e6

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class BeyondBounds(Exception):
    """Decoding the image may take more time or memory than is allowed here."""


def load_image(
    data: bytes,
    resolution: int,
    preprocessing: CropRule,
    limits: ImageLimits,
    *,
    reduced_decode: bool = True,
    memory: DecodeMemory = UNLIMITED,
    bounded: bool = False,
) -> "Uint8Array":
    """Decode an image file to the input of a model.

    Returns a C-contiguous, read-only array `[resolution, resolution, 3]`, RGB, 0 to 255. The
    arguments are those of `decode_square`.

    Raises:
        ImageError: the bytes are not an image that can be decoded; see `app.errors` for the kinds.
        OutOfMemory: there is not enough memory for the pixels.
        BeyondBounds: the image may take too long, or more than all of `memory`.
            Nothing else is raised.
    """
    import numpy as np  # here, because the helper process does without: 15 MB and 60 ms

    square = decode_square(
        data,
        resolution,
        preprocessing,
        limits,
        reduced_decode=reduced_decode,
        memory=memory,
        bounded=bounded,
    )
    return np.asarray(square)


def decode_square(
    data: bytes,
    resolution: int,
    preprocessing: CropRule,
    limits: ImageLimits,
    *,
    reduced_decode: bool = True,
    memory: DecodeMemory = UNLIMITED,
    bounded: bool = False,
) -> Image.Image:
    """Decode an image file to an RGB image of `resolution` squared.

    With `reduced_decode` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves at
    least as many pixels as the resize needs. Waits until `memory` has enough for the image. With
    `bounded` only an image whose structure bounds time and memory is opened. Thread-safe; Pillow
    releases the GIL in the heavy steps.

    Raises:
        ImageError: the bytes are not an image that can be decoded; see `app.errors` for the kinds.
        OutOfMemory: there is not enough memory for the pixels.
        BeyondBounds: the image may take too long, or more than all of `memory`.
            Nothing else is raised.
    """
    name = sniff(data)
    side = needed_side(resolution, preprocessing) if reduced_decode else None
    if bounded and bound_ns(name, data, side) > MAX_BOUND_NS:
        raise BeyondBounds
    opened = _opened(name, data, limits, side, memory)
    with _damage_reported(name), opened as (image, size, factor):
        width, height = size
        image.load()
        orientation = exif_orientation(image.info.get("exif"))
        displayed = crop_box(*orientation.swap(width, height), resolution, preprocessing)
        box = orientation.stored(displayed, width, height).scaled(factor)
        resample = RESAMPLING[preprocessing.interpolation]
        small = _resizable(image).resize((resolution, resolution), resample, box)
        if orientation.transpose is not None:
            small = small.transpose(orientation.transpose)
        return _rgb(small)


def bound_ns(name: str, data: bytes, side: int | None) -> float:
    """Return the maximum time of opening and decoding, by the structure of the file."""
    if name == "JPEG":
        return jpeg_bound_ns(data, side, MAX_BOUND_NS)
    if name == "PNG":
        return png_bound_ns(data, MAX_BOUND_NS)
    if name == "WebP":
        return webp_bound_ns(data, _webp_canvas(data), MAX_BOUND_NS)
    return inf  # TIFF, BMP and GIF set no limit to what they make a decoder do


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    """Turn any exception of Pillow into an error without internal details."""
    try:
        yield
    except (ImageError, BeyondBounds):
        raise
    except MemoryError as error:
        log.error("Not enough memory to decode a %s image.", name)
        raise OutOfMemory(
            f"Not enough memory to decode this {name} image right now. "
            "Retry later or send fewer images at once."
        ) from error
    except Exception as error:
        truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
        fault = (
            "is cut off before its last pixel" if truncated else "is damaged and does not decode"
        )
        raise DamagedImage(f"The {name} image {fault}.") from error


@contextmanager
def _opened(
    name: str,
    data: bytes,
    limits: ImageLimits,
    side: int | None,
    memory: DecodeMemory,
) -> Iterator[tuple[ImageFile, tuple[int, int], float]]:
    """Open an image once its memory is free; its full size, and the scale of the decoded image.

    `side` is the minimum of both sides after decoding, or None for the full image.
    """
    if name == "WebP":  # opening it allocates the canvas
        canvas = _webp_canvas(data)
        _check_pixels(name, canvas, limits)
        with _held(memory, canvas[0] * canvas[1] * BYTES_PER_PIXEL[name]):
            yield _open(name, data, limits), canvas, 1
        return
    image = _open(name, data, limits)
    size = image.size
    factor = _reduce(image, side) if side else 1
    across, down = _tiled_size(image) if isinstance(image, TiffImageFile) else size
    with _held(memory, across * down * _bytes_per_pixel(name, image, factor)):
        yield image, size, factor


def _held(memory: DecodeMemory, needed_bytes: int) -> AbstractContextManager[None]:
    """Hold what decoding takes at most; small images do not count.

    Raises:
        BeyondBounds: it is more than all of `memory`.
    """
    if needed_bytes > memory.limit_bytes:
        raise BeyondBounds
    return memory.hold(needed_bytes) if needed_bytes > SMALL_BYTES else nullcontext()


def _bytes_per_pixel(name: str, image: ImageFile, factor: float) -> int:
    """Maximum memory that decoding takes per pixel of the full image."""
    if name != "JPEG":
        return BYTES_PER_PIXEL[name]
    reduced = factor < 1
    if "progressive" in image.info:
        return 7 if reduced and image.mode != "CMYK" else 12
    return 1 if reduced else 4


def _open(name: str, data: bytes, limits: ImageLimits) -> ImageFile:
    """Read the header of an image file of a supported format and check it against the limits."""
    image = PLUGINS[name](io.BytesIO(data))
    _check_pixels(name, image.size, limits)
    if isinstance(image, TiffImageFile):
        _check_pixels(name, _tiled_size(image), limits)
        if image.info["compression"] not in TIFF_COMPRESSIONS:
            raise UnsupportedFormat(
                f"TIFF images with {image.info['compression']} compression are not supported."
            )
    width, height = image.size
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image has {width} x {height} pixels; the minimum side is {limits.min_side}."
        )
    if image.mode in UNSUPPORTED_MODES:
        pixels = UNSUPPORTED_MODES[image.mode]
        raise UnsupportedFormat(f"{name} images with {pixels} pixels are not supported.")
    return image


def _check_pixels(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The {name} image declares {width} x {height} pixels; "
            f"the maximum is {limits.max_pixels}."
        )


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Read width and height from a WebP header (RFC 9649, sections 2.5 to 2.7)."""
    match data[12:16]:
        case b"VP8X":
            return 1 + _little(data[24:27]), 1 + _little(data[27:30])
        case b"VP8L":
            bits = _little(data[21:25])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _tiled_size(image: TiffImageFile) -> tuple[int, int]:
    """Return the size of a TIFF in whole tiles: a small image can have a giant tile."""
    # TIFF 6.0: ImageWidth, ImageLength, TileWidth, TileLength
    width, height, tile_width, tile_height = (
        image.tag_v2.get(tag, 1) for tag in (256, 257, 322, 323)
    )
    return -(-width // tile_width) * tile_width, -(-height // tile_height) * tile_height


def _reduce(image: ImageFile, side: int) -> float:
    """Ask the decoder for the smallest image with both sides at least `side`.

    Returns the exact scale; the size of the reduced image is rounded up.
    """
    full_width = image.width
    drafted = image.draft(image.mode, (side, side))
    return drafted[1][2] / full_width if drafted else 1


def _resizable(image: Image.Image) -> Image.Image:
    """Convert to pixels that can be averaged: no palette indices, bits or transparent colours."""
    if image.mode.startswith("I;16"):
        return image
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        return image.convert("RGBA" if image.has_transparency_data else opaque)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """Convert a small image of any supported mode to RGB, transparent pixels over white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        # (level + 128) // 257; half a level more keeps it right in floating point
        image = image.convert("I").point(lambda level: level * (1 / 257) + 128.5 / 257)
        image = image.convert("L")
    if image.mode in {"LA", "RGBA", "RGBa"}:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
