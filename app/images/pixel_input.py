"""The RGB input of a model, made of pixels that are decoded already.

The answers for them are those for a PNG of the same pixels, which is how a client sends them.
"""

from typing import Any

import numpy as np
from PIL import Image

from app.arrays import Uint8Array
from app.errors import DamagedImage, ImageTooSmall, TooManyPixels, UnsupportedFormat
from app.images.crop import ORIENTATIONS, CropRule, crop_box
from app.images.jpeg.plain import RESAMPLING
from app.images.limits import ImageLimits
from app.images.pixels import averageable, to_rgb
from app.images.plugins.opening import UNSUPPORTED_MODES

ORIENTATION_TAG = 0x0112
PNG_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))


def pixel_input(
    source: "Image.Image | np.ndarray[Any, Any]",
    resolution: int,
    rule: CropRule,
    limits: ImageLimits,
) -> Uint8Array:
    """Crop and resize pixels to `[resolution, resolution, 3]`.

    They are a PIL image, turned by its EXIF orientation, or a uint8 array: [H, W] grey, [H, W, 3]
    RGB or [H, W, 4] RGBA.

    Raises:
        ImageError: the pixels have another form, are too few or too many, or cannot be read.
    """
    image = source if isinstance(source, Image.Image) else Image.fromarray(_checked(source))
    if image.mode in UNSUPPORTED_MODES:
        kind = UNSUPPORTED_MODES[image.mode]
        raise UnsupportedFormat(
            f"Images with {kind} pixels are not supported. Scale the values to 0-255 and convert "
            "the image to RGB or L."
        )
    width, height = image.size
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"The image has {width} x {height} pixels; the maximum is {limits.max_pixels}."
        )
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image has {width} x {height} pixels; the minimum side is {limits.min_side}."
        )
    try:  # reads the pixels of an opened file
        number = image.getexif().get(ORIENTATION_TAG, 1)
        image = averageable(image if image.mode in PNG_MODES else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # truncated, closed, a broken PNG
        raise DamagedImage(f"Cannot read the image: {error}") from error
    turned = ORIENTATIONS[number - 1 if number in range(1, 9) else 0]
    box = turned.stored(crop_box(*turned.swap(*image.size), resolution, rule), *image.size)
    small = image.resize((resolution, resolution), RESAMPLING[rule.interpolation], box)
    if turned.transpose is not None:
        small = small.transpose(turned.transpose)
    return np.asarray(to_rgb(small))


def _checked(source: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The array, if it has the shape and type of an image."""
    shape = source.shape
    if source.dtype != np.uint8 or not (
        len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    ):
        raise UnsupportedFormat(
            f"Unsupported array: {source.dtype} {list(shape)}. "
            "Pass uint8 of shape [H, W], [H, W, 3] or [H, W, 4]."
        )
    if 0 in shape:
        raise UnsupportedFormat(f"An array of shape {list(shape)} has no pixels.")
    return source
