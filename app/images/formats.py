"""Image formats: which are taken, and which one some bytes are of.

Each is opened by its own plugin of Pillow, so that no other decoder ever sees a client's bytes.
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
