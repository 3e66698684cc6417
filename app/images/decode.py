"""Bytes to an RGB array of the wanted size: sniff, check, decode, crop, resize.

    bytes ─ sniff ─ open header ─ check limits ─ draft ─ decode ─ crop box ─ resize ─ RGB array
            │        │             │                      │
            │        DamagedImage  TooManyPixels,         DamagedImage
            │                      ImageTooSmall, UnsupportedFormat
            EmptyBody, NotAnImage, UnsupportedFormat

The whole image is decoded once, at the smallest scale that the resize does not have to enlarge, and
only the crop is resized; EXIF orientation turns the small result, never the photo. Transparent
pixels are shown on white, 16-bit grey is scaled to 8 bits, and of an animation or a multi-page file
the first picture counts. ICC profiles are ignored, as the evaluation of the published weights does.
"""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.card.card import Preprocessing
from app.errors import (
    DamagedImage,
    ImageError,
    ImageTooSmall,
    OutOfMemory,
    TooManyPixels,
    UnsupportedFormat,
)
from app.images.crop import crop_box, exif_orientation, needed_side
from app.images.decode_memory import Room
from app.images.formats import PLUGINS, sniff

log = logging.getLogger(__name__)

# ImageLimits is checked before anything is decoded; Pillow's own limit would only get in its way.
Image.MAX_IMAGE_PIXELS = None
# What Pillow has to say about strange metadata changes no answer, but would let a hostile client
# fill the log and the interpreter's registry of warnings.
warnings.filterwarnings("ignore", module=r"PIL\.")


# By Pillow mode: pixels without an agreed range of display, or that Pillow cannot turn into RGB.
PIXELS_NOT_TAKEN = {
    "I": "32-bit integer",
    "F": "floating-point",
    "LAB": "CIELAB",
    "La": "premultiplied grey",
}

# What photos are stored in. For the fax codes, libtiff writes a line to stderr for every bad row.
TIFF_COMPRESSIONS = frozenset(
    ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg")
)

# Measured, the worst that was found of each format: docs/operations.md has the table, which a test
# measures anew.
BYTES_PER_PIXEL = {"PNG": 17, "WebP": 16, "TIFF": 12, "GIF": 9, "BMP": 4}

# Ten scans are usual in a progressive JPEG. Each one goes over the whole picture again, and an
# empty one takes 60 bytes: without a limit, a file of 1 MB can keep a core busy for minutes.
MAX_JPEG_SCANS = 100

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


AMPLE = Room(sys.maxsize)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What the header of an image may declare, in pixels."""

    max_pixels: int = 40_000_000
    min_side: int = 8


def load_image(
    data: bytes,
    resolution: int,
    preprocessing: Preprocessing,
    limits: ImageLimits,
    *,
    reduced_decode: bool = True,
    room: Room = AMPLE,
) -> NDArray[np.uint8]:
    """Decode an image file to what a model sees.

    Returns a C-contiguous, read-only array `[resolution, resolution, 3]`, RGB, 0 to 255. With
    `reduced_decode` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves at least
    as many pixels as the resize needs. Waits until `room` has the memory that decoding takes.
    Thread-safe; Pillow releases the GIL for the heavy steps.

    Raises:
        ImageError: one of its kinds, see `app.errors`.
        OutOfMemory: there is no memory for its pixels; nothing else is raised for any bytes.
    """
    name = sniff(data)
    side = needed_side(resolution, preprocessing) if reduced_decode else None
    with _damage_reported(name), _opened(name, data, limits, side, room) as (image, size, factor):
        width, height = size
        image.load()
        orientation = exif_orientation(image.info.get("exif"))
        displayed = crop_box(*orientation.swap(width, height), resolution, preprocessing)
        box = orientation.stored(displayed, width, height).scaled(factor)
        resample = RESAMPLING[preprocessing.interpolation]
        small = _resizable(image).resize((resolution, resolution), resample, box)
        if orientation.transpose is not None:
            small = small.transpose(orientation.transpose)
        return np.asarray(_rgb(small))


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises on hostile bytes into one error that tells nothing internal."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        log.error("no memory to decode a %s image", name)
        raise OutOfMemory(
            f"There is no memory to decode this {name} image now; with less at once there may be."
        ) from error
    except Exception as error:
        cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
        fault = (
            "cut off: it ends before its last pixel" if cut_off else "damaged: it does not decode"
        )
        raise DamagedImage(f"The {name} image is {fault}.") from error


@contextmanager
def _opened(
    name: str, data: bytes, limits: ImageLimits, side: int | None, room: Room
) -> Iterator[tuple[ImageFile, tuple[int, int], float]]:
    """An image that may be decoded now, its whole size, and the scale that it will have.

    `side` is what both sides have to keep, or None for the whole picture.
    """
    if name == "WebP":  # opening it allocates the canvas
        canvas = _webp_canvas(data)
        _check_pixels(name, canvas, limits)
        with room.hold(canvas[0] * canvas[1] * BYTES_PER_PIXEL[name]):
            yield _open(name, data, limits), canvas, 1
        return
    image = _open(name, data, limits)
    size = image.size
    factor = _reduce(image, side) if side else 1
    across, down = _tiled_size(image) if isinstance(image, TiffImageFile) else size
    with room.hold(across * down * _bytes_per_pixel(name, image, factor)):
        yield image, size, factor


def _bytes_per_pixel(name: str, image: ImageFile, factor: float) -> int:
    """What decoding takes at most for each pixel of the whole picture."""
    if name != "JPEG":
        return BYTES_PER_PIXEL[name]
    reduced = factor < 1
    if "progressive" in image.info:
        return 7 if reduced else 12
    return 1 if reduced else 4


def _open(name: str, data: bytes, limits: ImageLimits) -> ImageFile:
    """Read the header of an image file of a known format and check it against the limits."""
    image = PLUGINS[name](io.BytesIO(data))
    _check_pixels(name, image.size, limits)
    if isinstance(image, TiffImageFile):
        _check_pixels(name, _tiled_size(image), limits)
        if image.info["compression"] not in TIFF_COMPRESSIONS:
            raise UnsupportedFormat(
                f"TIFF images with {image.info['compression']} compression are not taken."
            )
    width, height = image.size
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image is {width} x {height} pixels; the least side is {limits.min_side}."
        )
    if image.mode in PIXELS_NOT_TAKEN:
        pixels = PIXELS_NOT_TAKEN[image.mode]
        raise UnsupportedFormat(f"{name} images with {pixels} pixels are not taken.")
    if "progressive" in image.info and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise DamagedImage(f"The {name} image has more than {MAX_JPEG_SCANS} scans.")
    return image


def _check_pixels(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The {name} image declares {width} x {height} pixels; "
            f"at most {limits.max_pixels} are taken."
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
    """Return the size of a TIFF with all its tiles whole: a small picture can have a giant tile."""
    # TIFF 6.0: ImageWidth, ImageLength, TileWidth, TileLength
    width, height, tile_width, tile_height = (
        image.tag_v2.get(tag, 1) for tag in (256, 257, 322, 323)
    )
    return -(-width // tile_width) * tile_width, -(-height // tile_height) * tile_height


def _reduce(image: ImageFile, side: int) -> float:
    """Ask the decoder for the smallest picture with both sides at least `side`.

    Returns the scale, exactly, where the size of the reduced picture is rounded up.
    """
    full_width = image.width
    drafted = image.draft(image.mode, (side, side))
    return drafted[1][2] / full_width if drafted else 1


def _resizable(image: Image.Image) -> Image.Image:
    """Give pixels that can be averaged: no palette indices, bits or transparent key colours."""
    if image.mode.startswith("I;16"):
        return image
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        return image.convert("RGBA" if image.has_transparency_data else opaque)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """Convert a small image of any taken mode to RGB, transparent pixels on white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        levels = (np.asarray(image).astype(np.uint32) + 128) // 257
        image = Image.fromarray(levels.astype(np.uint8))
    if image.mode in {"LA", "RGBA", "RGBa"}:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
