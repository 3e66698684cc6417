"""Every kind of TIFF gives the right pixels or an error that names it; written by tifffile."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from app.card.card import Preprocessing
from app.errors import UnsupportedFormat
from app.images.decode import load_image
from app.images.limits import ImageLimits
from tests.app.sample_images import cat

WHOLE = Preprocessing(resize="shortest_edge", crop_fraction=1.0, interpolation="nearest")
SIDE = 64
CAT = np.asarray(cat(SIDE, SIDE))
GREY = CAT[..., 1]
AS_RGB = np.repeat(GREY[..., None], 3, axis=2)
OPAQUE, CLEAR = np.full_like(GREY, 255), np.zeros_like(GREY)
RAMP = np.repeat(np.arange(256, dtype=np.uint16)[None], 3, axis=0)


def planes(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def wide(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.astype(np.uint16) * 257


def write(pixels: NDArray[Any], options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def load(data: bytes) -> NDArray[np.uint8]:
    return load_image(data, SIDE, WHOLE, ImageLimits())


LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {},
    "tiles": {"tile": (64, 64)},
    "deflate-predictor": {"compression": "zlib", "predictor": 2},
    "deflate-tiles": {"compression": "zlib", "tile": (32, 32)},
}
BIG = {"big": {"bigtiff": True}}
ORDERED = [
    pytest.param({"byteorder": order, **layout}, id=order + name)
    for order, layouts in (("<", LAYOUTS | BIG), (">", LAYOUTS))
    for name, layout in layouts.items()
]


@pytest.mark.parametrize("layout", ORDERED)
@pytest.mark.parametrize(
    ("pixels", "options", "expected"),
    [
        pytest.param(GREY, {"photometric": "minisblack"}, AS_RGB, id="grey"),
        pytest.param(255 - GREY, {"photometric": "miniswhite"}, AS_RGB, id="grey-white-is-zero"),
        pytest.param(wide(GREY), {"photometric": "minisblack"}, AS_RGB, id="grey16"),
        pytest.param(
            65535 - wide(GREY), {"photometric": "miniswhite"}, AS_RGB, id="grey16-white-is-zero"
        ),
        pytest.param(CAT, {"photometric": "rgb"}, CAT, id="rgb"),
        pytest.param(
            planes(CAT), {"photometric": "rgb", "planarconfig": "separate"}, CAT, id="rgb-planes"
        ),
        pytest.param(wide(CAT), {"photometric": "rgb"}, CAT, id="rgb16"),
        pytest.param(
            np.dstack([wide(CAT), wide(CLEAR)]),
            {"photometric": "rgb", "extrasamples": ["unassalpha"]},
            np.full_like(CAT, 255),
            id="rgba16-transparent",
        ),
        pytest.param(255 - np.dstack([CAT, OPAQUE]), {"photometric": "separated"}, CAT, id="cmyk"),
        pytest.param(
            GREY, {"photometric": "palette", "colormap": RAMP * 257}, AS_RGB, id="palette"
        ),
        pytest.param(
            GREY, {"photometric": "palette", "colormap": RAMP}, AS_RGB, id="palette-of-8-bits"
        ),
    ],
)
def test_pixels_are_right_in_every_layout(
    pixels: NDArray[Any],
    options: dict[str, Any],
    expected: NDArray[np.uint8],
    layout: dict[str, Any],
) -> None:
    difference = load(write(pixels, options | layout)).astype(int) - expected
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("pixels", "options", "name"),
    [
        (CAT.astype(np.float32), {"photometric": "rgb"}, "32-bit floating-point RGB pixels"),
        (GREY.astype(np.float16), {"photometric": "minisblack"}, "16-bit floating-point grey"),
        (CAT.astype(np.uint32), {"photometric": "rgb"}, "32-bit RGB pixels"),
        (GREY.astype(np.uint32), {"photometric": "minisblack"}, "32-bit grey pixels"),
        (GREY.astype(np.int16), {"photometric": "minisblack"}, "16-bit signed grey pixels"),
        (GREY.astype(np.int8), {"photometric": "minisblack"}, "8-bit signed grey pixels"),
        (
            planes(wide(CAT)),
            {"photometric": "rgb", "planarconfig": "separate"},
            "16-bit RGB pixels in separate planes",
        ),
        (
            np.dstack([wide(GREY), wide(OPAQUE)]),
            {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
            "16-bit grey pixels and alpha",
        ),
        (
            planes(np.dstack([GREY, OPAQUE])),
            {
                "photometric": "minisblack",
                "extrasamples": ["unassalpha"],
                "planarconfig": "separate",
            },
            "8-bit grey pixels and alpha in separate planes",
        ),
        (
            wide(GREY),
            {"photometric": "palette", "colormap": np.zeros((3, 65536), np.uint16)},
            "16-bit palette pixels",
        ),
    ],
)
def test_other_pixels_are_rejected_by_name(
    pixels: NDArray[Any], options: dict[str, Any], name: str, compression: str | None, order: str
) -> None:
    data = write(pixels, options | {"compression": compression, "byteorder": order})
    with pytest.raises(UnsupportedFormat, match=f"^TIFF images with {name}"):
        load(data)


def by_hand(
    bits: int, pixels: bytes, *, order: str = "<", photometric: int = 1, **tags: int
) -> bytes:
    """Write an uncompressed TIFF of SIDE squared, one sample a pixel unless `tags` say more."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    samples = tags.get("t277", 1)
    fields = {256: SIDE, 257: SIDE, 259: 1, 262: photometric, 273: 8, 277: samples, 278: SIDE}
    fields |= {258: bits, 279: len(pixels)} | {int(tag[1:]): value for tag, value in tags.items()}
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(fields.items())
    )
    at = 8 + len(pixels)
    return (
        mark
        + struct.pack(f"{order}I", at)
        + pixels
        + struct.pack(f"{order}H", len(fields))
        + entries
        + bytes(4)
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_scaled(bits: int, photometric: int, order: str) -> None:
    levels = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % (1 << bits)
    rows = np.unpackbits(levels.astype(np.uint8)[..., None], axis=2)[..., -bits:]
    data = by_hand(bits, np.packbits(rows).tobytes(), order=order, photometric=photometric)
    expected = levels * (255 // ((1 << bits) - 1))
    if photometric == 0:
        expected = 255 - expected
    assert np.array_equal(load(data)[..., 0], expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [3, 10, 12, 14, 24, 32])
def test_grey_of_other_depths_is_rejected_by_name(bits: int, order: str) -> None:
    data = by_hand(bits, bytes(SIDE * SIDE * 4), order=order)
    with pytest.raises(UnsupportedFormat, match=f"^TIFF images with {bits}-bit grey pixels"):
        load(data)


def test_subsampled_colours_without_compression_are_rejected_by_name() -> None:
    data = by_hand(8, bytes(SIDE * SIDE * 3), photometric=6, t277=3)  # 2 x 2 is the default
    with pytest.raises(UnsupportedFormat, match="8-bit YCbCr pixels, subsampled"):
        load(data)


@pytest.mark.parametrize("number", [2, 6, 34712, 50001, 65000])
def test_a_compression_is_rejected_by_name(number: int) -> None:
    with pytest.raises(UnsupportedFormat, match="compression are not supported"):
        load(by_hand(8, bytes(SIDE * SIDE), t259=number))


def test_the_file_without_an_oracle_is_right() -> None:
    """`by_hand` writes what Pillow reads."""
    with Image.open(io.BytesIO(by_hand(8, GREY.tobytes()))) as image:
        assert np.array_equal(np.asarray(image), GREY)
