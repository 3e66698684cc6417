"""PNG: metadata does not decide about pixels, and transparency counts at every depth."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.errors import DamagedImage, UnsupportedFormat
from app.images.decode import load_image
from app.images.limits import ImageLimits
from tests.app.sample_images import cat, encode, oriented_exif

WHOLE = Preprocessing(resize="shortest_edge", crop_fraction=1.0, interpolation="nearest")
SIDE = 16
PLAIN = encode(cat(64, 48), "PNG")


def load(data: bytes, side: int = SIDE) -> "np.typing.NDArray[np.uint8]":
    return load_image(data, side, WHOLE, ImageLimits())


def chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    check = zlib.crc32(kind + content) ^ (not sound)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def with_chunk(added: bytes, data: bytes = PLAIN) -> bytes:
    """Put a chunk behind IHDR."""
    return data[:33] + added + data[33:]


def png(depth: int, colour: int, rows: bytes, transparent: bytes) -> bytes:
    """Write a PNG of SIDE squared; `rows` without filter bytes."""
    size = len(rows) // SIDE
    filtered = b"".join(b"\0" + rows[at : at + size] for at in range(0, len(rows), size))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, 0))
        + chunk(b"tRNS", transparent)
        + chunk(b"IDAT", zlib.compress(filtered))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_one_grey_level_is_transparent(depth: int) -> None:
    levels = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % (1 << min(depth, 8))
    levels = levels * 256 + 7 if depth == 16 else levels
    key = int(levels[0, 1])
    if depth == 16:
        rows = levels.astype(">u2").tobytes()
    else:
        bits = np.unpackbits(levels.astype(np.uint8)[..., None], axis=2)[..., -depth:]
        rows = np.packbits(bits).tobytes()
    got = load(png(depth, 0, rows, struct.pack(">H", key)))[..., 0]
    scaled = (levels * 255 + (1 << depth - 1) - 1) // ((1 << depth) - 1)
    assert np.abs(got - np.where(levels == key, 255, scaled)).max() <= 1
    near = levels == key + (1 if depth < 16 else 256)
    assert not np.any(got[near & (scaled < 200)] == 255)


@pytest.mark.parametrize("depth", [8, 16])
def test_one_colour_is_transparent(depth: int) -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint16)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 1, 2, 3
    pixels[:, 8:, 2] = 4  # differs in the low byte only
    kind = ">u2" if depth == 16 else ">u1"
    got = load(png(depth, 2, pixels.astype(kind).tobytes(), struct.pack(">HHH", 1, 2, 3)))
    assert (got[:, :8] == 255).all()
    assert (got[:, 8:] < 5).all()


def test_bits_beyond_the_depth_of_a_transparent_level_do_not_count() -> None:
    got = load(png(8, 0, bytes([9]) * SIDE * SIDE, struct.pack(">H", 0xAB09)))
    assert (got == 255).all()


@pytest.mark.parametrize(
    "added",
    [
        pytest.param(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_200_000))), id="icc"),
        pytest.param(chunk(b"zTXt", b"c\0\0" + zlib.compress(b"x" * 1_200_000)), id="text"),
        pytest.param(chunk(b"zTXt", b"c\0\0damaged"), id="damaged-text"),
        pytest.param(chunk(b"iTXt", b"c"), id="cut-text"),
        pytest.param(chunk(b"tEXt", b"no separator"), id="no-separator"),
        pytest.param(chunk(b"iCCP", b"damaged"), id="damaged-icc"),
        pytest.param(chunk(b"tEXt", b"a\0b", sound=False), id="crc-of-text"),
        pytest.param(chunk(b"pHYs", bytes(9), sound=False), id="crc-of-density"),
        pytest.param(chunk(b"gAMA", b"", sound=False), id="empty-gamma"),
        pytest.param(chunk(b"cHRM", bytes(3)), id="short-chromaticities"),
        pytest.param(chunk(b"eXIf", b"garbage", sound=False), id="exif"),
        pytest.param(chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26)), id="animation"),
        pytest.param(chunk(b"zTXt", b"Raw profile type exif\0\0damaged"), id="damaged-profile"),
        pytest.param(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 9\nzz"), id="no-digits"),
    ],
)
def test_metadata_does_not_decide(added: bytes) -> None:
    assert np.array_equal(load(with_chunk(added)), load(PLAIN))


def test_the_sum_of_a_chunk_with_pixels_decides() -> None:
    broken = bytearray(PLAIN)
    broken[29] ^= 1  # of IHDR
    with pytest.raises(DamagedImage):
        load(bytes(broken))


def test_apples_form_is_rejected_by_name() -> None:
    data = PLAIN[:8] + chunk(b"CgBI", bytes(4)) + PLAIN[8:]
    with pytest.raises(UnsupportedFormat, match="CgBI"):
        load(data)


def raw_profile(name: bytes, profile: bytes) -> bytes:
    """Write a profile as ImageMagick did before eXIf."""
    digits = profile.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n%s\n%8d\n%s\n" % (name, len(profile), lines)


XMP = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><rdf:Description %s</x:xmpmeta>'
XMP_6 = XMP % b'tiff:Orientation="6"/>'
EXIF_6 = oriented_exif(6)


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"eXIf", EXIF_6.removeprefix(b"Exif\0\0")),
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(b"exif", EXIF_6)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(b"exif", EXIF_6))),
        chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(b"APP1", EXIF_6))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_6),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP_6)),
        chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(raw_profile(b"xmp", XMP_6))),
    ],
    ids=["eXIf", "profile", "packed-profile", "app1", "xmp", "packed-xmp", "xmp-profile"],
)
def test_an_orientation_is_read_wherever_it_stands(added: bytes) -> None:
    with Image.open(io.BytesIO(PLAIN)) as image:
        turned = encode(image.transpose(Image.Transpose.ROTATE_270), "PNG")
    assert np.array_equal(load(with_chunk(added)), load(turned))


def test_exif_comes_before_xmp() -> None:
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_6)
    exif = chunk(b"eXIf", oriented_exif(1).removeprefix(b"Exif\0\0"))
    assert np.array_equal(load(with_chunk(xmp + exif)), load(PLAIN))


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    "statement",
    [
        b'tiff:Orientation="8"/>',
        b"tiff:Orientation='8'/>",
        b"><tiff:Orientation>8</tiff:Orientation>",
    ],
)
def test_xmp_alone_turns_an_image(image_format: str, statement: bytes) -> None:
    photo = cat(64, 48)
    packet = XMP % statement
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"xmp": packet},
        "WEBP": {"xmp": packet, "lossless": True},
        "TIFF": {"tiffinfo": {700: packet}},
    }
    data = encode(photo, image_format, **options[image_format])
    with Image.open(io.BytesIO(data)) as image:
        image.info.pop("xmp", None)
        turned = encode(image.convert("RGB").transpose(Image.Transpose.ROTATE_90), "PNG")
    assert np.abs(load(data, 48).astype(int) - load(turned, 48)).max() <= 2
