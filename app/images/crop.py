"""The part of an image that a model classifies, and its position in the stored image.

Pure geometry: the square crop of the evaluation pipelines, and the eight orientations of EXIF.
"""

import math
import struct
from typing import NamedTuple, Protocol

from PIL import Image


class CropRule(Protocol):
    """How an image becomes a square: the fields of `app.card.card.Preprocessing`."""

    @property
    def resize(self) -> str: ...
    @property
    def crop_fraction(self) -> float: ...
    @property
    def interpolation(self) -> str: ...


class Box(NamedTuple):
    """A region of an image in pixels from its upper left corner; edges may be fractional."""

    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, factor: float) -> "Box":
        """Return the same region of the image decoded at `factor` of its size."""
        return Box(*(edge * factor for edge in self))


class Orientation(NamedTuple):
    """How a stored image is turned to be displayed, and where a displayed region is stored."""

    transpose: Image.Transpose | None
    swaps_sides: bool
    mirrors_x: bool
    mirrors_y: bool

    def swap(self, width: int, height: int) -> tuple[int, int]:
        """Return the displayed width and height of an image stored as `width` x `height`."""
        return (height, width) if self.swaps_sides else (width, height)

    def stored(self, box: Box, width: int, height: int) -> Box:
        """Map a displayed region to the image as stored, `width` x `height`."""
        left, top, right, bottom = box
        if self.swaps_sides:
            left, top, right, bottom = top, left, bottom, right
        if self.mirrors_x:
            left, right = width - right, width - left
        if self.mirrors_y:
            top, bottom = height - bottom, height - top
        return Box(left, top, right, bottom)


# Exif 2.32, tag 0x0112: orientations 1 to 8.
ORIENTATIONS = (
    # transpose to display, swaps sides, stored x runs backwards, stored y runs backwards
    Orientation(None, False, False, False),
    Orientation(Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    Orientation(Image.Transpose.ROTATE_180, False, True, True),
    Orientation(Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    Orientation(Image.Transpose.TRANSPOSE, True, False, False),
    Orientation(Image.Transpose.ROTATE_270, True, False, True),
    Orientation(Image.Transpose.TRANSVERSE, True, True, True),
    Orientation(Image.Transpose.ROTATE_90, True, True, False),
)


def crop_box(width: float, height: float, resolution: int, preprocessing: CropRule) -> Box:
    """Return the region of a displayed image that becomes the square input of the model.

    Resizing this region to `resolution` squared gives the result of the evaluation pipeline of the
    weights: torchvision's Resize and CenterCrop for `shortest_edge`, slim's
    `central_crop` otherwise, with their rounding.
    """
    if preprocessing.resize == "central_crop":
        left = int((width - width * preprocessing.crop_fraction) / 2)
        top = int((height - height * preprocessing.crop_fraction) / 2)
        return Box(left, top, width - left, height - top)
    side = needed_side(resolution, preprocessing)
    shorter = min(width, height)
    resized_width, resized_height = int(width * side / shorter), int(height * side / shorter)
    left = round((resized_width - resolution) / 2)
    top = round((resized_height - resolution) / 2)
    return Box(
        left * width / resized_width,
        top * height / resized_height,
        (left + resolution) * width / resized_width,
        (top + resolution) * height / resized_height,
    )


def needed_side(resolution: int, preprocessing: CropRule) -> int:
    """Return the shorter side, in pixels, that an image needs so that nothing is enlarged."""
    side = resolution / preprocessing.crop_fraction
    if preprocessing.resize == "central_crop":
        return math.ceil(side)
    return math.floor(side + 1e-6)  # 224 / 0.875 must not become 255


def exif_orientation(exif: object) -> Orientation | None:
    """Read the orientation from an EXIF block, None if it states none or cannot be read.

    Pillow's reader parses every tag, at twice the cost of opening a JPEG.
    """
    if not isinstance(exif, bytes):
        return None
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = ">" if tiff.startswith(b"MM") else "<"
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for offset in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, offset)
            if (tag, kind, count) == (0x0112, 3, 1) and 1 <= value <= len(ORIENTATIONS):
                return ORIENTATIONS[value - 1]
    except struct.error:
        pass  # truncated EXIF; the image itself may be complete
    return None
