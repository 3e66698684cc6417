"""Image formats: the supported ones, and the signatures of these and others."""

import re

from app.errors import EmptyBody, NotAnImage, UnsupportedFormat
from app.images.plugins.heif import heic_is_installed

ALWAYS = ("JPEG", "PNG", "WebP", "BMP", "GIF", "TIFF", "AVIF")
SUPPORTED = (*ALWAYS, "HEIC") if heic_is_installed() else ALWAYS
SUPPORTED_TEXT = f"Supported: {', '.join(SUPPORTED)}."
HOW_TO_GET = {
    "HEIC": "HEIC files need the extra `heif`: pip install 'mobilenet-gateway[heif]', "
    "or --build-arg HEIF=true for the container image."
}

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
        ("Big-endian BigTIFF", rb"MM\x00\+"),
        ("TIFF", rb"II[*+]\x00|MM\x00\*"),
        # mif1 and msf1 say nothing of the codec; the compatible brands behind do
        ("AVIF", rb".{4}ftyp(avi[fs]|m[is]f1.{4}(.{4}){0,15}?avi[fs])"),
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
        raise EmptyBody(f"Expected an image, got no bytes. {SUPPORTED_TEXT}")
    head = data[:SNIFFED_BYTES]
    name = next((name for name, signature in SIGNATURES if signature.match(head)), None)
    if name is None:
        raise NotAnImage(f"Unrecognized image format. {SUPPORTED_TEXT}")
    if name not in SUPPORTED:
        reason = HOW_TO_GET.get(name, f"{name} files are not supported.")
        raise UnsupportedFormat(f"{reason} {SUPPORTED_TEXT}")
    return name
