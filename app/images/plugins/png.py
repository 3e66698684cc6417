"""PNG images without the metadata that nobody reads, so that it cannot decide about the pixels.

Pillow decompresses every text and colour profile and checks the sums of all chunks. Here a file is
reduced to the chunks that make its pixels; of the others only an orientation is read. Samples of
less or more than 8 bits are compared with a transparent colour by their own depth.
W3C Portable Network Graphics, third edition, sections 11.2 and 11.3.
"""

import io
import re
import zlib
from contextlib import suppress
from functools import reduce
from typing import NamedTuple

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from app.errors import UnsupportedFormat

SIGNATURE_BYTES = 8
PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
XMP = b"XML:com.adobe.xmp"
RAW_PROFILE = re.compile(rb"Raw profile type (exif|app1|xmp)", re.IGNORECASE)
MAX_TEXT_BYTES = 2**20  # of a text that may hold an orientation
MAX_TEXTS = 8
GREY, RGB = 0, 2  # colour types


class Chunks(NamedTuple):
    """A PNG file of the chunks that make its pixels, and what was read from the others."""

    file: bytes
    transparency: bytes
    exif: bytes
    xmp: bytes


class PngFile(PngImageFile):
    """An opened PNG."""

    def __init__(self, data: bytes) -> None:
        if data[12:16] == b"CgBI":
            raise UnsupportedFormat("PNG images in Apple's CgBI form are not supported.")
        self.chunks = read_chunks(data)
        super().__init__(io.BytesIO(self.chunks.file))
        self.info |= {"exif": self.chunks.exif, "xmp": self.chunks.xmp}

    @property
    def key(self) -> tuple[int, ...]:
        """The samples of the transparent colour of a grey or RGB image; empty without one."""
        depth, colour = self.chunks.file[24], self.chunks.file[25]
        samples = {GREY: 1, RGB: 3}.get(colour, 0)
        packed = self.chunks.transparency
        if len(packed) < 2 * samples:
            return ()
        used = (1 << depth) - 1  # "only the least significant bits are used"
        return tuple(int.from_bytes(packed[at : at + 2]) & used for at in range(0, 2 * samples, 2))

    def with_transparency(self) -> Image.Image:
        """The decoded image; its transparent colour becomes transparent."""
        key, depth = self.key, self.chunks.file[24]
        if not key:
            return self
        if self.mode == "RGB" and depth == 16:
            return self._rgb16(key)
        if self.mode.startswith("I;16"):
            return _grey16(self, key[0])
        scaled = tuple(level * 255 // ((1 << depth) - 1) for level in key)
        self.info["transparency"] = scaled if len(scaled) > 1 else scaled[0]
        return self

    def _rgb16(self, key: tuple[int, ...]) -> Image.Image:
        """Pillow keeps the high bytes; the low ones come from decoding in the other byte order."""
        self.info.pop("transparency", None)
        low = PngImageFile(io.BytesIO(self.chunks.file))
        low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
        levels = (*(level >> 8 for level in key), *(level & 255 for level in key))
        equal = [
            band.point([255 * (value == level) for value in range(256)])
            for band, level in zip((*self.split(), *low.split()), levels, strict=True)
        ]
        opaque = self.convert("RGBA")
        opaque.putalpha(ImageChops.invert(reduce(ImageChops.darker, equal)))
        return opaque


def _grey16(image: Image.Image, key: int) -> Image.Image:
    """Grey of 16 bits with a transparent level, as grey of 8 bits with alpha."""
    levels = image.convert("I")
    grey = levels.point([(level + 128) // 257 for level in range(65536)], "L")
    alpha = levels.point([255 * (level != key) for level in range(65536)], "L")
    return Image.merge("LA", (grey, alpha))


def read_chunks(data: bytes) -> Chunks:
    """Separate the chunks that make the pixels from the others; damaged ones are kept."""
    parts, transparency, exif, texts = [data[:SIGNATURE_BYTES]], b"", b"", dict[bytes, bytes]()
    at = start = SIGNATURE_BYTES
    pixels_began = False
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        content_at, behind = at + 8, at + 12 + int.from_bytes(data[at : at + 4])
        if kind not in PIXEL_CHUNKS:
            parts.append(data[start:at])
            start = behind
            if kind == b"tRNS" and not pixels_began:
                transparency = data[content_at : behind - 4]
                parts.append(_chunk(kind, transparency))
            elif kind == b"eXIf":
                exif = data[content_at : behind - 4]
            elif kind in TEXTS and len(texts) < MAX_TEXTS:
                with suppress(ValueError, IndexError, zlib.error):
                    texts |= _text(kind, data[content_at : behind - 4])
        pixels_began = pixels_began or kind == b"IDAT"
        at = behind
        if kind == b"IEND":
            break
    parts.append(data[start:at])
    profiles = b"".join(text for keyword, text in texts.items() if keyword != XMP)
    return Chunks(
        b"".join(parts), transparency, exif or _raw_exif(profiles), texts.get(XMP, profiles)
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return len(content).to_bytes(4) + kind + content + check.to_bytes(4)


def _text(kind: bytes, content: bytes) -> dict[bytes, bytes]:
    """A text that may hold an orientation, by its keyword.

    Raises:
        ValueError, IndexError, zlib.error: it is damaged.
    """
    keyword, text = content.split(b"\0", 1)
    is_profile = RAW_PROFILE.fullmatch(keyword) is not None
    if keyword != XMP and not is_profile:
        return {}
    compressed = kind == b"zTXt"
    if kind == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[2]
    elif compressed:
        text = text[1:]
    if compressed:
        text = zlib.decompressobj().decompress(text, MAX_TEXT_BYTES)
    return {keyword: _raw_profile(text) if is_profile else text[:MAX_TEXT_BYTES]}


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's form: an empty line, the name, the size, and lines of hexadecimal digits.

    Raises:
        ValueError: they are not.
    """
    digits = b"".join(text.split(b"\n", 3)[3].split()) if text.count(b"\n") > 2 else b""
    return bytes.fromhex(digits.decode("ascii"))


def _raw_exif(profile: bytes) -> bytes:
    tiff = profile.removeprefix(b"Exif\0\0")
    return tiff if tiff.startswith((b"II", b"MM")) else b""
