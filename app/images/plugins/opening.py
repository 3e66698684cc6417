"""The formats other than JPEG: how each is opened, what it may take, and its pixels.

Each is opened by its own Pillow plugin, so that no other decoder reads a client's bytes.
"""

import io
from collections.abc import Callable
from functools import partial

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import UnsupportedFormat
from app.images import pixels
from app.images.chunk_bound import first_webp_frame, webp_canvas
from app.images.plugins.heif import open_avif, open_heic
from app.images.plugins.png import PngFile
from app.images.plugins.tiff import TiffFile
from app.images.shared_file import readable

Size = tuple[int, int]

# Pillow modes without an agreed display range, or that Pillow cannot convert to RGB.
UNSUPPORTED_MODES = {
    "I": "32-bit integer",
    "F": "floating-point",
    "LAB": "CIELAB",
    "La": "premultiplied grey",
}

# The maximum measured for each format; docs/operations.md has the table, and a test repeats it.
BYTES_PER_PIXEL = {
    "PNG": 17, "WebP": 16, "TIFF": 12, "GIF": 9, "BMP": 4, "AVIF": 17, "HEIC": 17,
}  # fmt: skip


def prepare(
    name: str, data: bytes, check_size: Callable[[Size], None]
) -> tuple[int, Callable[[], ImageFile]]:
    """Return the memory that decoding takes at most, and how to open the image once it is free.

    Raises:
        ImageError: `check_size` says so, or its pixels are not supported.
    """
    if name == "WebP":  # opening it allocates the canvas
        canvas = webp_canvas(data)
        check_size(canvas)
        return _needed_bytes(name, canvas), partial(_opened, name, data)
    if name == "PNG" and data[12:16] == b"IHDR":  # opening it copies the file without metadata
        size = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        check_size(size)
        return _needed_bytes(name, size) + len(data), partial(_opened, name, data)
    image = _opened(name, data)
    check_size(image.size)
    size = image.allocated_size if isinstance(image, TiffFile) else image.size
    check_size(size)
    return _needed_bytes(name, size), lambda: image


class WebPFile(WebPImageFile):
    """An opened WebP."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.frame = first_webp_frame(data)


def displayable(image: ImageFile) -> Image.Image:
    """Convert a decoded image to pixels that can be averaged."""
    if isinstance(image, PngFile):
        return pixels.averageable(image.with_transparency())
    if isinstance(image, GifImageFile):
        image.info.pop("xmp", None)
        return pixels.with_white_around(pixels.averageable(image), image.dispose_extent)
    if isinstance(image, WebPFile):
        return pixels.with_white_around(pixels.averageable(image), image.frame)
    if isinstance(image, TiffFile):
        image.info |= {"exif": None, "xmp": image.xmp}
        return pixels.averageable(pixels.native16(image, inverted=image.white_is_zero))
    return pixels.averageable(image)


def _needed_bytes(name: str, size: Size) -> int:
    return size[0] * size[1] * BYTES_PER_PIXEL[name]


def _opened(name: str, data: bytes) -> ImageFile:
    """Read the header of an image file.

    Raises:
        UnsupportedFormat: its pixels or its compression cannot be decoded, or not to RGB.
    """
    image = OPEN[name](data)
    if image.mode in UNSUPPORTED_MODES:
        kind = UNSUPPORTED_MODES[image.mode]
        raise UnsupportedFormat(f"{name} images with {kind} pixels are not supported.")
    return image


def _open_bmp(data: bytes) -> BmpImageFile:
    try:
        return BmpImageFile(readable(data))
    except OSError as error:
        if not str(error).startswith("Unsupported BMP"):
            raise
    bits, compression = (int.from_bytes(data[at : at + 2], "little") for at in (28, 30))
    raise UnsupportedFormat(
        f"BMP images with {bits} bits per pixel in the layout of this file "
        f"(compression {compression}) are not supported."
    )


OPEN: dict[str, Callable[[bytes], ImageFile]] = {
    "PNG": PngFile,
    "WebP": WebPFile,
    "BMP": _open_bmp,
    "GIF": lambda data: GifImageFile(readable(data)),
    "TIFF": TiffFile,
    "AVIF": open_avif,
    "HEIC": open_heic,
}
