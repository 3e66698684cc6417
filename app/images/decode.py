"""Decode an image file to the RGB input of a model: sniff, check, decode, crop, resize.

    bytes ─ sniff ─ open header ─ check limits ─ draft ─ decode ─ crop box ─ resize ─ RGB array
            │        │             │                      │
            │        DamagedImage  TooManyPixels,         DamagedImage
            │                      ImageTooSmall, UnsupportedFormat
            EmptyBody, NotAnImage, UnsupportedFormat

The image is decoded once, at the smallest scale that does not require enlarging, and only the crop
is resized. EXIF orientation is applied to the small result, not to the full image. The first frame
of an animation or page of a document is used. ICC profiles are ignored, as in the evaluation of the
published weights. What a JPEG does not need is in `header` (what other formats declare), `pixels`
(their kinds of pixels) and `damage`.
"""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from PIL import Image
from PIL.ImageFile import ImageFile

from app.errors import ImageError, ImageTooSmall, TooManyPixels
from app.images.chunk_bound import chunk_bound_ns, webp_canvas
from app.images.crop import CropRule, crop_box, exif_orientation, needed_side
from app.images.damage import to_request_error
from app.images.decode_memory import SMALL_BYTES, UNLIMITED, DecodeMemory
from app.images.formats import PLUGINS, sniff
from app.images.header import BYTES_PER_PIXEL, allocated_size, check_supported
from app.images.jpeg_bound import jpeg_bound_ns
from app.images.limits import ImageLimits
from app.images.pixels import averageable, to_rgb

if TYPE_CHECKING:
    from app.arrays import Uint8Array

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
    """Decode an image file to a C-contiguous, read-only array `[resolution, resolution, 3]`.

    RGB, 0 to 255. Arguments and errors are those of `decode_square`.
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
        stored = image if name == "JPEG" else averageable(image)
        orientation = exif_orientation(image.info.get("exif"))
        displayed = crop_box(*orientation.swap(width, height), resolution, preprocessing)
        box = orientation.stored(displayed, width, height).scaled(factor)
        resample = RESAMPLING[preprocessing.interpolation]
        small = stored.resize((resolution, resolution), resample, box)
        if orientation.transpose is not None:
            small = small.transpose(orientation.transpose)
        return small if small.mode == "RGB" else to_rgb(small)


def bound_ns(name: str, data: bytes, side: int | None) -> float:
    """Return the maximum time of opening and decoding, by the structure of the file."""
    if name == "JPEG":
        return jpeg_bound_ns(data, side, MAX_BOUND_NS)
    return chunk_bound_ns(name, data, MAX_BOUND_NS)


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    """Turn any exception of Pillow into an error without internal details."""
    try:
        yield
    except (ImageError, BeyondBounds):
        raise
    except Exception as error:
        raise to_request_error(name, error) from error


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
        canvas = webp_canvas(data)
        _check_pixels(name, canvas, limits)
        with _held(memory, canvas[0] * canvas[1] * BYTES_PER_PIXEL[name]):
            yield _open(name, data, limits), canvas, 1
        return
    image = _open(name, data, limits)
    size = image.size
    factor = _reduce(image, side) if side else 1
    across, down = size if name == "JPEG" else allocated_size(image)
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
    if name != "JPEG":
        _check_pixels(name, allocated_size(image), limits)
        check_supported(name, image)
    width, height = image.size
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image has {width} x {height} pixels; the minimum side is {limits.min_side}."
        )
    return image


def _check_pixels(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The {name} image declares {width} x {height} pixels; "
            f"the maximum is {limits.max_pixels}."
        )


def _reduce(image: ImageFile, side: int) -> float:
    """Ask the decoder for the smallest image with both sides at least `side`.

    Returns the exact scale; the size of the reduced image is rounded up.
    """
    full_width = image.width
    drafted = image.draft(image.mode, (side, side))
    return drafted[1][2] / full_width if drafted else 1
