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
import math
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.card import Preprocessing
from app.errors import (
    DamagedImage,
    EmptyBody,
    ImageError,
    ImageTooSmall,
    NotAnImage,
    TooManyPixels,
    UnsupportedFormat,
)

# ImageLimits is checked before anything is decoded; Pillow's own limit would only get in its way.
Image.MAX_IMAGE_PIXELS = None
# What Pillow has to say about strange metadata changes no answer, but would let a hostile client
# fill the log and the interpreter's registry of warnings.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _JpegFile(JpegImageFile):
    """A JPEG whose EXIF block is left unread when it is opened: nobody here asks for the dpi."""

    def _read_dpi_from_exif(self) -> None:
        """Skip what takes longer than the rest of the header and fails on corrupt EXIF."""


PLUGINS: dict[str, type[ImageFile]] = {
    "JPEG": _JpegFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "TIFF": TiffImageFile,
}
FORMATS_TAKEN = ", ".join(PLUGINS)

SNIFFED_BYTES = 1024
SIGNATURES = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        # format, what its files start with
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("WebP", rb"RIFF.{4}WEBP"),
        ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00"),
        ("GIF", rb"GIF8[79]a"),
        ("TIFF", rb"II[*+]\x00|MM\x00[*+]"),
        ("AVIF", rb".{4}ftypavi[fs]"),
        ("HEIC", rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"),
        ("MP4", rb".{4}ftyp"),
        ("JPEG XL", rb"\xff\x0a|.{4}JXL \r\n\x87\n"),
        ("JPEG 2000", rb"\xff\x4f\xff\x51|.{4}jP  \r\n\x87\n"),
        ("ICO", rb"\x00\x00[\x01\x02]\x00[^\x00]\x00"),
        ("ICNS", rb"icns"),
        ("PSD", rb"8BPS\x00"),
        ("PDF", rb"%PDF-"),
        ("EPS", rb"%!PS"),
        ("SVG", rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg"),
        ("PNM", rb"P[1-7]\s"),
    )
)

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

# Ten scans are usual in a progressive JPEG. Each one goes over the whole picture again, and an
# empty one takes 60 bytes: without a limit, a file of 1 MB can keep a core busy for minutes.
MAX_JPEG_SCANS = 100

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What the header of an image may declare, in pixels."""

    max_pixels: int = 40_000_000
    min_side: int = 8


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself: width and height in pixels, before EXIF orientation."""

    format: str
    width: int
    height: int


class Box(NamedTuple):
    """A region of an image in pixels from its upper left corner; the edges may be fractions."""

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


def load_image(
    data: bytes,
    resolution: int,
    preprocessing: Preprocessing,
    limits: ImageLimits,
    *,
    reduced_decode: bool = True,
) -> NDArray[np.uint8]:
    """Decode an image file to what a model sees.

    Returns a C-contiguous, read-only array `[resolution, resolution, 3]`, RGB, 0 to 255. With
    `reduced_decode` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves at least
    as many pixels as the resize needs. Thread-safe; Pillow releases the GIL for the heavy steps.

    Raises:
        ImageError: one of its kinds, see `app.errors`; nothing else is raised for any bytes.
    """
    name = sniff(data)
    with _damage_reported(name):
        image = _open(name, data, limits)
        width, height = image.size
        factor = _reduce(image, needed_side(resolution, preprocessing)) if reduced_decode else 1
        image.load()
        orientation = exif_orientation(image.info.get("exif"))
        displayed = crop_box(*orientation.swap(width, height), resolution, preprocessing)
        box = orientation.stored(displayed, width, height).scaled(factor)
        resample = RESAMPLING[preprocessing.interpolation]
        small = _resizable(image).resize((resolution, resolution), resample, box)
        if orientation.transpose is not None:
            small = small.transpose(orientation.transpose)
        return np.asarray(_rgb(small))


def read_header(data: bytes, limits: ImageLimits) -> ImageHeader:
    """Check an image file against the limits without decoding it.

    Raises:
        ImageError: as `load_image`, except for damage behind the header.
    """
    name = sniff(data)
    with _damage_reported(name):
        return ImageHeader(name, *_open(name, data, limits).size)


def sniff(data: bytes) -> str:
    """Name the format of an image file from its first bytes.

    Raises:
        EmptyBody: there are no bytes.
        UnsupportedFormat: an image or document of a known format that is not taken.
        NotAnImage: no known format starts like this.
    """
    if not data:
        raise EmptyBody(f"No bytes where an image was expected. Taken are {FORMATS_TAKEN}.")
    head = data[:SNIFFED_BYTES]
    name = next((name for name, signature in SIGNATURES if signature.match(head)), None)
    if name is None:
        raise NotAnImage(f"No known image format starts like this. Taken are {FORMATS_TAKEN}.")
    if name not in PLUGINS:
        raise UnsupportedFormat(f"{name} files are not taken. Taken are {FORMATS_TAKEN}.")
    return name


def crop_box(width: int, height: int, resolution: int, preprocessing: Preprocessing) -> Box:
    """Return the region of a displayed image that becomes the square the model sees.

    Resizing this region to `resolution` squared gives what the evaluation pipeline of the weights
    gives by its own steps: torchvision's Resize and CenterCrop for `shortest_edge`, slim's
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


def needed_side(resolution: int, preprocessing: Preprocessing) -> int:
    """Return the shorter side, in pixels, that an image needs so that nothing is enlarged."""
    side = resolution / preprocessing.crop_fraction
    if preprocessing.resize == "central_crop":
        return math.ceil(side)
    return math.floor(side + 1e-6)  # 224 / 0.875 must not become 255


def exif_orientation(exif: object) -> Orientation:
    """Read the orientation from an EXIF block; as stored if there is none that can be read.

    Pillow's reader parses every tag, at twice the cost of opening a JPEG.
    """
    if not isinstance(exif, bytes):
        return ORIENTATIONS[0]
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
        pass  # cut off: the picture itself may be whole
    return ORIENTATIONS[0]


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises on hostile bytes into one error that tells nothing internal."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
        fault = (
            "cut off: it ends before its last pixel" if cut_off else "damaged: it does not decode"
        )
        raise DamagedImage(f"The {name} image is {fault}.") from error


def _open(name: str, data: bytes, limits: ImageLimits) -> ImageFile:
    """Read the header of an image file of a known format and check it against the limits."""
    if name == "WebP":
        _check_pixels(name, _webp_canvas(data), limits)  # opening it allocates the canvas
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
