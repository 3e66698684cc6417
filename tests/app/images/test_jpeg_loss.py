"""Data that a JPEG lacks: an error where it is much, a warning where it can be seen."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.errors import DamagedImage, UnsupportedFormat
from app.images.decode import Square, decode_square
from app.images.limits import BeyondBounds, ImageLimits
from tests.app.sample_images import cat, encode, oriented_exif

RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
EOI = b"\xff\xd9"
PHOTO = cat(1280, 720)
BASELINE = encode(PHOTO, "JPEG")
RESTARTS = encode(PHOTO, "JPEG", restart_marker_rows=1)
PROGRESSIVE = encode(PHOTO, "JPEG", progressive=True)


def decode(data: bytes, *, reduced: bool = True) -> Square:
    """Decode as a worker does and, if that leaves it, as the helper process."""
    try:
        return decode_square(data, 224, RULE, ImageLimits(), bounded=True, reduced_decode=reduced)
    except BeyondBounds:
        return decode_square(data, 224, RULE, ImageLimits(), reduced_decode=reduced)


def end_at(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)] + EOI


def without(data: bytes, start: float, count: int) -> bytes:
    at = int(len(data) * start)
    return data[:at] + data[at + count :]


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("trailer", [b"", bytes(500), BASELINE], ids=["", "zeros", "jpeg"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("data", [BASELINE, RESTARTS], ids=["baseline", "restarts"])
def test_an_image_that_lacks_much_of_its_end_is_damaged(
    data: bytes, share: float, trailer: bytes, reduced: bool
) -> None:
    with pytest.raises(DamagedImage, match=r"cannot be decoded to its end: .* its rows"):
        decode(end_at(data, share) + trailer, reduced=reduced)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_an_image_of_other_colours_that_lacks_much_is_damaged(mode: str) -> None:
    with pytest.raises(DamagedImage, match="cannot be decoded to its end"):
        decode(end_at(encode(PHOTO.convert(mode), "JPEG"), 0.5))


@pytest.mark.parametrize(
    ("data", "warning"),
    [
        pytest.param(end_at(BASELINE, 0.95), "ends before its last pixel", id="little-of-the-end"),
        pytest.param(without(BASELINE, 0.5, 500), "ends before its last pixel", id="lost"),
        pytest.param(without(RESTARTS, 0.3, 3000), "restart markers are missing", id="restarts"),
        pytest.param(end_at(PROGRESSIVE, 0.4), "before its last scan", id="progressive"),
        pytest.param(
            BASELINE[:-2] + bytes(range(1, 200)) + EOI, "left over behind its last pixel", id="more"
        ),
    ],
)
def test_what_a_file_lacks_is_a_warning(data: bytes, warning: str) -> None:
    [text] = decode(data).warnings
    assert warning in text


SOUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 7},
    "restart-rows": {"restart_marker_rows": 2},
    "progressive-restarts": {"progressive": True, "restart_marker_rows": 1},
    "coarse": {"quality": 3},
    "fine": {"quality": 100, "subsampling": 0},
    "exif": {"exif": oriented_exif(6)},
}
TRAILERS = {
    "": b"",
    "zeros": bytes(3000),
    "film": b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 50 + EOI,
    "second-image": encode(cat(160, 120), "JPEG"),
}


@pytest.mark.parametrize(
    ("size", "mode"),
    [
        ((1280, 720), "RGB"),
        ((451, 300), "L"),
        ((97, 103), "CMYK"),
        ((97, 103), "RGB"),
        ((8, 8), "L"),
    ],
    ids=str,
)
@pytest.mark.parametrize("options", SOUND.values(), ids=SOUND)
def test_a_whole_file_has_no_warnings(
    options: dict[str, Any], size: tuple[int, int], mode: str
) -> None:
    whole = encode(cat(*size).convert(mode), "JPEG", **options)
    warnings = {name: decode(whole + trailer).warnings for name, trailer in TRAILERS.items()}
    assert warnings == dict.fromkeys(TRAILERS, ())


@pytest.mark.parametrize("padding", [bytes(300), b"\xff" * 300], ids=["zeros", "fill"])
def test_padding_before_the_end_marker_is_no_damage(padding: bytes) -> None:
    assert decode(BASELINE[:-2] + padding + EOI).warnings == ()


@pytest.mark.parametrize("grey", [127, 128])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_an_image_that_is_grey_at_its_end_is_whole(options: dict[str, Any], grey: int) -> None:
    for top in (0, 300):
        photo = PHOTO.copy()
        photo.paste((grey,) * 3, (0, top, *photo.size))
        square = decode(encode(photo, "JPEG", **options))
        assert square.warnings == ()
        assert square.pixels.endswith(bytes([grey]) * (3 * 224))


def test_a_scan_of_each_component_is_whole() -> None:
    """Without interleaving; only the order of markers differs from what Pillow writes."""
    data = encode(Image.new("L", (64, 64), 90), "JPEG")
    assert decode(data).warnings == ()


def with_frame(marker: int, bits: int = 8, components: bytes | None = None) -> bytes:
    """Change what the frame header of a JPEG declares."""
    data = bytearray(encode(cat(64, 64), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    if components:
        data[at + 9 : at + 10] = components
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (with_frame(0xC0, 12), "JPEG images with 12 bits per sample"),
        (with_frame(0xC1, 12), "JPEG images with 12 bits per sample"),
        (with_frame(0xC2, 12), "JPEG images with 12 bits per sample"),
        (with_frame(0xC3, 16), "JPEG images with 16 bits per sample"),
        (with_frame(0xC5), "Hierarchical JPEG images"),
        (with_frame(0xCB), "Lossless arithmetic-coded JPEG images"),
        (with_frame(0xF7), "JPEG-LS files"),
    ],
)
def test_other_kinds_of_jpeg_are_rejected_by_name(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"^{name} are not supported"):
        decode(data)


def lossless_grey(side: int) -> bytes:
    """Write a lossless JPEG (T.81, annex H) of columns that get lighter, by hand."""
    codes = {0: "0", 1: "10"}  # the size of a difference in bits
    rows = []
    for _ in range(side):
        # The first column is as the one above; each other is one lighter than its left neighbour.
        rows.append(codes[0] + (codes[1] + "1") * (side - 1))
    bits = "".join(rows)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    return (
        b"\xff\xd8"
        + b"\xff\xc3\0\x0b\x08" + side.to_bytes(2) * 2 + b"\x01\x01\x11\0"
        + b"\xff\xc4\0\x15\0" + bytes([1, 1]) + bytes(14) + b"\0\x01"
        + b"\xff\xda\0\x08\x01\x01\0\x01\0\0"
        + coded + EOI
    )  # fmt: skip


def test_a_lossless_jpeg_is_decoded_at_its_full_size() -> None:
    data = lossless_grey(600)
    with Image.open(io.BytesIO(data)) as image:
        levels = np.asarray(image)
    assert levels[0, :3].tolist() == [128, 129, 130]  # the first sample is half the range
    square = np.frombuffer(decode(data).pixels, np.uint8).reshape(224, 224, 3)
    assert square.shape == (224, 224, 3)
    assert np.array_equal(square[..., 0], square[..., 2])
