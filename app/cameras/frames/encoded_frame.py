"""A frame as an image file, most often JPEG, decoded within the limits of the service."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.arrays import Uint8Array
from app.cameras.frames.turned import as_captured, turned
from app.cameras.frames.zone import WHOLE, Rectangle
from app.errors import ImageTooSmall, TooManyPixels, UnsupportedFormat
from app.images.crop import (
    ORIENTATIONS,
    Box,
    CropRule,
    Orientation,
    crop_box,
    exif_orientation,
    needed_side,
)
from app.images.damage import to_request_error
from app.images.decode_memory import DecodeMemory
from app.images.jpeg.bound import MAX_NS, jpeg_bound_ns
from app.images.jpeg.file import JPEG_START, JpegFile
from app.images.jpeg.plain import RESAMPLING
from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.model.model import Model

JPEG_QUALITY = 85
SHOWN_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """The bytes of an image file, and what limits its decoding."""

    data: bytes
    limits: ImageLimits
    memory: DecodeMemory

    @property
    def is_jpeg(self) -> bool:
        return self.data.startswith(JPEG_START)

    def grey(self, zone: Rectangle, cells: int, rotation: int) -> Uint8Array | None:
        """As `Content.grey`; only of a JPEG, at 1/8 of its size where that is enough."""
        if not self.is_jpeg:
            return None
        try:
            image, region, orientation = self._opened(as_captured(zone, rotation), cells, "L")
        except Exception:  # whatever it is, `square` has the words for it
            return None
        small = image.resize(grid(region, cells), Image.Resampling.BOX, region)
        return turned(np.asarray(transposed(small, orientation)), rotation)

    def square(
        self, classifier: Classifier, model: Model, resolution: int, zone: Rectangle, rotation: int
    ) -> Uint8Array:
        """As `Content.square`.

        Raises:
            UnsupportedFormat: there is a zone, and it is no JPEG.
        """
        if zone == WHOLE:
            return turned(classifier.decode(self.data, model, resolution).pixels, rotation)
        if not self.is_jpeg:
            raise UnsupportedFormat("A zone needs frames in JPEG. Remove the zone, or send JPEG.")
        captured = as_captured(zone, rotation)
        return turned(self._zone_square(model, resolution, captured), rotation)

    def jpeg(self, rotation: int) -> bytes | None:
        """As `Content.jpeg`; a JPEG that is not turned stays as it is, EXIF included."""
        if self.is_jpeg and not rotation:
            return self.data
        try:
            with Image.open(io.BytesIO(self.data), formats=SHOWN_FORMATS) as image:
                if image.width * image.height > self.limits.max_pixels:
                    return None
                with self.memory.hold(image.width * image.height * 12):
                    orientation = exif_orientation(image.info.get("exif")) or ORIENTATIONS[0]
                    return encoded(transposed(image.convert("RGB"), orientation), rotation)
        except Exception:  # Pillow raises any kind
            return None

    def _zone_square(self, model: Model, resolution: int, zone: Rectangle) -> Uint8Array:
        rule = model.card.preprocessing
        image, region, orientation = self._opened(zone, needed_side(resolution, rule), "RGB")
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        box = within(region, resolution, rule)
        small = rgb.resize((resolution, resolution), RESAMPLING[rule.interpolation], box)
        return np.asarray(transposed(small, orientation))

    def _opened(self, zone: Rectangle, side: int, mode: str) -> tuple[JpegFile, Box, Orientation]:
        """Decode a JPEG so that the zone has at least `side` pixels along each side.

        Also where the zone lies in it, and how EXIF says that it is displayed.

        Raises:
            ImageError: it cannot be decoded, or not within the limits.
        """
        scaled = math.ceil(side / min(zone.width, zone.height))
        if jpeg_bound_ns(self.data, scaled, MAX_NS) > MAX_NS:
            raise UnsupportedFormat("Decoding the frame may take too long.")
        try:
            image = JpegFile(self.data)
            self._check_size(image.full_size, zone)
            drafted = image.draft(mode if mode == "L" else image.mode, (scaled, scaled))
            factor = drafted[1][2] / image.full_size[0] if drafted else 1
            pixels = image.full_size[0] * image.full_size[1]
            with self.memory.hold(int(pixels * image.bytes_per_pixel(factor))):
                image.load()
        except (TooManyPixels, ImageTooSmall):
            raise
        except Exception as error:
            raise to_request_error("JPEG", error, self.data) from error
        orientation = exif_orientation(image.info.get("exif")) or ORIENTATIONS[0]
        displayed = zone.of(*orientation.swap(*image.size))
        return image, orientation.stored(displayed, *image.size), orientation

    def _check_size(self, size: tuple[int, int], zone: Rectangle) -> None:
        width, height = size
        if width * height > self.limits.max_pixels:
            raise TooManyPixels(
                f"The frame declares {width} x {height} pixels; "
                f"the maximum is {self.limits.max_pixels}."
            )
        if min(width * zone.width, height * zone.height) < self.limits.min_side:
            raise ImageTooSmall(
                f"The zone has {width * zone.width:.0f} x {height * zone.height:.0f} pixels; "
                f"the minimum side is {self.limits.min_side}."
            )


def transposed(image: Image.Image, orientation: Orientation) -> Image.Image:
    """The image as it is displayed."""
    return image if orientation.transpose is None else image.transpose(orientation.transpose)


def grid(box: Box, cells: int) -> tuple[int, int]:
    """Columns and rows for a region: `cells` along its longer side, but no more than pixels."""
    width, height = box.right - box.left, box.bottom - box.top
    longer = max(width, height)
    return (
        max(1, min(round(cells * width / longer), int(width))),
        max(1, min(round(cells * height / longer), int(height))),
    )


def within(region: Box, resolution: int, rule: CropRule) -> Box:
    """The part of a region that becomes the input of a model, as if it were an image of its own."""
    width, height = region.right - region.left, region.bottom - region.top
    box = crop_box(width, height, resolution, rule)
    return Box(
        region.left + box.left,
        region.top + box.top,
        region.left + box.right,
        region.top + box.bottom,
    )


def encoded(image: Image.Image, rotation: int) -> bytes:
    """A JPEG of an RGB image, turned clockwise."""
    buffer = io.BytesIO()
    shown = image.rotate(-rotation, expand=True) if rotation else image
    shown.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
