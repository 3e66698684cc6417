"""Image formats: the supported ones, and the signatures of these and others.

Each format is opened by its own Pillow plugin, so that no other decoder reads a client's bytes.
"""

import re

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import EmptyBody, NotAnImage, UnsupportedFormat


class _JpegFile(JpegImageFile):
    """A JPEG that is opened without reading the resolution in dpi from its EXIF block."""

    def _read_dpi_from_exif(self) -> None:
        """Do nothing: Pillow's method takes longer than the rest and fails on bad EXIF."""


PLUGINS: dict[str, type[ImageFile]] = {
    "JPEG": _JpegFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "TIFF": TiffImageFile,
}
SUPPORTED = ", ".join(PLUGINS)

SNIFFED_BYTES = 1024
SIGNATURES = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        # format, start of its files
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


def sniff(data: bytes) -> str:
    """Name the format of an image file from its first bytes.

    Raises:
        EmptyBody: there are no bytes.
        UnsupportedFormat: the format is known but not supported.
        NotAnImage: the format is unknown.
    """
    if not data:
        raise EmptyBody(f"Expected an image, got no bytes. Supported: {SUPPORTED}.")
    head = data[:SNIFFED_BYTES]
    name = next((name for name, signature in SIGNATURES if signature.match(head)), None)
    if name is None:
        raise NotAnImage(f"Unrecognized image format. Supported: {SUPPORTED}.")
    if name not in PLUGINS:
        raise UnsupportedFormat(f"{name} files are not supported. Supported: {SUPPORTED}.")
    return name
