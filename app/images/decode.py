"""Decode an image file to the RGB input of a model: sniff, check, decode, crop, resize.

    bytes ─ sniff ─ open header ─ check limits ─ draft ─ decode ─ crop box ─ resize ─ RGB array
            │        │             │                      │
            │        DamagedImage  TooManyPixels,         DamagedImage
            │                      ImageTooSmall, UnsupportedFormat
            EmptyBody, NotAnImage, UnsupportedFormat

The image is decoded once, at the smallest scale that does not require enlarging, and only the crop
is resized. Orientation is applied to the small result, not to the full image. The first frame
of an animation or page of a document is used. ICC profiles are ignored, as in the evaluation of the
published weights. What a plain JPEG does not need is in `plugins` (the other formats), `pixels`
(their kinds of pixels), `jpeg.loss`, `xmp` and `damage`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image
from PIL.ImageFile import ImageFile

from app.errors import ImageError, ImageTooSmall, TooManyPixels
from app.images.chunk_bound import chunk_bound_ns
from app.images.crop import ORIENTATIONS, CropRule, crop_box, exif_orientation, needed_side
from app.images.damage import to_request_error
from app.images.decode_memory import SMALL_BYTES, UNLIMITED, DecodeMemory
from app.images.formats import sniff
from app.images.jpeg import loss
from app.images.jpeg.bound import MAX_NS, jpeg_bound_ns
from app.images.jpeg.file import JPEG_START, JpegFile
from app.images.jpeg.frame import is_lossless
from app.images.jpeg.plain import RESAMPLING, decode_plain
from app.images.limits import BeyondBounds, ImageLimits
from app.images.pixels import to_rgb
from app.images.plugins import opening
from app.images.xmp import xmp_orientation

if TYPE_CHECKING:
    from app.arrays import Uint8Array


class Square(NamedTuple):
    """The RGB input of a model, and what seems to be missing from the file that it was made of."""

    pixels: bytes  # [resolution, resolution, 3]
    warnings: tuple[str, ...] = ()


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
    return np.ndarray((resolution, resolution, 3), np.uint8, square.pixels)


def decode_square(
    data: bytes,
    resolution: int,
    preprocessing: CropRule,
    limits: ImageLimits,
    *,
    reduced_decode: bool = True,
    memory: DecodeMemory = UNLIMITED,
    bounded: bool = False,
) -> Square:
    """Decode an image file to the RGB pixels of `resolution` squared.

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
    name = "JPEG" if data.startswith(JPEG_START) else sniff(data)
    if name == "JPEG" and reduced_decode:
        pixels = decode_plain(data, resolution, preprocessing, limits, memory, bounded=bounded)
        if pixels is not None:
            return Square(pixels)
    side = needed_side(resolution, preprocessing) if reduced_decode else None
    if bounded and bound_ns(name, data, side) > MAX_NS:
        raise BeyondBounds
    opened = _opened(name, data, limits, side, memory, bounded)
    with _damage_reported(name, data), opened as (image, factor):
        image.load()
        if isinstance(image, JpegFile):
            stored: Image.Image = image
            size = image.full_size
            warnings = loss.missing(image, side, bounded=bounded) if image.may_lack_data else ()
        else:
            stored, warnings = opening.displayable(image), ()
            size = stored.size
        orientation = exif_orientation(image.info.get("exif"))
        if orientation is None:
            xmp = image.info.get("xmp")
            orientation = xmp_orientation(xmp) if xmp else ORIENTATIONS[0]
        displayed = crop_box(*orientation.swap(*size), resolution, preprocessing)
        box = orientation.stored(displayed, *size).scaled(factor)
        resample = RESAMPLING[preprocessing.interpolation]
        small = stored.resize((resolution, resolution), resample, box)
        if orientation.transpose is not None:
            small = small.transpose(orientation.transpose)
        rgb = small if small.mode == "RGB" else to_rgb(small)
        return Square(rgb.tobytes(), warnings)


def bound_ns(name: str, data: bytes, side: int | None) -> float:
    """Return the maximum time of opening and decoding, by the structure of the file."""
    if name == "JPEG":
        return jpeg_bound_ns(data, side, MAX_NS)
    return chunk_bound_ns(name, data, MAX_NS)


@contextmanager
def _damage_reported(name: str, data: bytes) -> Iterator[None]:
    """Turn any exception of Pillow into an error without internal details."""
    try:
        yield
    except (ImageError, BeyondBounds):
        raise
    except Exception as error:
        raise to_request_error(name, error, data) from error


@contextmanager
def _opened(
    name: str,
    data: bytes,
    limits: ImageLimits,
    side: int | None,
    memory: DecodeMemory,
    bounded: bool,
) -> Iterator[tuple[ImageFile, float]]:
    """Open an image once its memory is free; also the scale that it will be decoded at.

    `side` is the minimum of both sides after decoding, or None for the full image.
    """
    if name != "JPEG":
        needed_bytes, open_image = opening.prepare(name, data, partial(_check_size, name, limits))
        with _held(memory, needed_bytes):
            yield open_image(), 1
        return
    image = JpegFile(data)
    _check_size(name, limits, image.size)
    factor = image.shrink(side) if side and (bounded or not is_lossless(data)) else 1
    width, height = image.full_size
    with _held(memory, width * height * image.bytes_per_pixel(factor)):
        yield image, factor


def _held(memory: DecodeMemory, needed_bytes: int) -> AbstractContextManager[None]:
    """Hold what decoding takes at most; small images do not count.

    Raises:
        BeyondBounds: it is more than all of `memory`.
    """
    if needed_bytes > memory.limit_bytes:
        raise BeyondBounds
    return memory.hold(needed_bytes) if needed_bytes > SMALL_BYTES else nullcontext()


def _check_size(name: str, limits: ImageLimits, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The {name} image declares {width} x {height} pixels; "
            f"the maximum is {limits.max_pixels}."
        )
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image has {width} x {height} pixels; the minimum side is {limits.min_side}."
        )
