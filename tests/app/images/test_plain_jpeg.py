"""The usual JPEG, decoded without Pillow's plugin: the same pixels, and only if nothing is odd."""

import io
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from app.images.decode_memory import UNLIMITED
from app.images.jpeg.plain import decode_plain
from app.images.limits import BeyondBounds, ImageLimits
from tests.app.sample_images import encode, noise

SIDE = 96
PHOTO = noise(640, 480)
EXIF_ORIENTATION = 0x0112
Pixels = NDArray[np.int64]


class Rule(NamedTuple):
    resize: str = "shortest_edge"
    crop_fraction: float = 0.875
    interpolation: str = "bilinear"


def decode(
    data: bytes, limits: ImageLimits | None = None, *, bounded: bool = False
) -> bytes | None:
    return decode_plain(data, SIDE, Rule(), limits or ImageLimits(), UNLIMITED, bounded=bounded)


def exif(orientation: int, thumbnail: bytes = b"") -> bytes:
    block = Image.Exif()
    block[EXIF_ORIENTATION] = orientation
    return block.tobytes() + thumbnail


def as_pillow_decodes(data: bytes) -> Pixels:
    """Decode at a reduced scale, turn, crop and resize with Pillow's documented methods."""
    shorter = int(SIDE / 0.875 + 1e-6)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (shorter, shorter))
        turned = ImageOps.exif_transpose(image)
    ratio = shorter / min(turned.size)
    width, height = int(turned.width * ratio), int(turned.height * ratio)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    across, down = turned.width / width, turned.height / height
    box = (left * across, top * down, (left + SIDE) * across, (top + SIDE) * down)
    return np.asarray(turned.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)).astype(int)


def is_as_pillow_decodes(data: bytes) -> bool:
    pixels = decode(data)
    if pixels is None:
        return False
    found = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE, 3)
    # Resizing rounds after each of its two passes, and turning swaps them.
    return bool(np.abs(found - as_pillow_decodes(data)).max() <= 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(640, 480), (336, 1008), (96, 200)])
def test_the_pixels_are_those_of_pillow(size: tuple[int, int], orientation: int) -> None:
    data = encode(noise(*size), "JPEG", exif=exif(orientation))
    for _ in range(2):  # with a new header, and with one that was kept
        assert is_as_pillow_decodes(data)


def test_a_thumbnail_before_the_image_is_skipped() -> None:
    data = encode(PHOTO, "JPEG", exif=exif(6, thumbnail=encode(noise(32, 32))))
    assert data.count(b"\xff\xda") == 2
    assert is_as_pillow_decodes(data)


def test_nothing_remains_of_the_image_before() -> None:
    for colour in ((250, 10, 10), (10, 250, 10)):
        pixels = decode(encode(Image.new("RGB", (640, 480), colour)))
        assert pixels is not None
        found = np.frombuffer(pixels, np.uint8).reshape(-1, 3).astype(int)
        assert np.abs(found - colour).max() <= 3


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (PHOTO.convert("L"), {}),
        (PHOTO.convert("CMYK"), {}),
        (PHOTO, {"progressive": True}),
        (PHOTO, {"restart_marker_rows": 1}),
        (Image.new("RGB", (640, 480), (128,) * 3), {}),
    ],
)
def test_what_has_to_be_looked_at_is_left(image: Image.Image, options: dict[str, Any]) -> None:
    assert decode(encode(image, "JPEG", **options)) is None


def test_orientation_in_xmp_is_left() -> None:
    data = encode(PHOTO)
    packet = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    segment = b"\xff\xe1" + (len(packet) + 2).to_bytes(2) + packet
    assert decode(data[:2] + segment + data[2:]) is None


@pytest.mark.parametrize("missing", [2, 40, 5000])
def test_an_image_without_its_end_is_left(missing: int) -> None:
    assert decode(encode(PHOTO)[:-missing]) is None


@pytest.mark.parametrize("height", [0, 65535])
def test_an_impossible_size_is_left(height: int) -> None:
    data = encode(PHOTO)
    frame = data.index(b"\xff\xc0")
    assert decode(data[: frame + 5] + height.to_bytes(2) + data[frame + 7 :]) is None


@pytest.mark.parametrize("behind", range(16))
def test_a_file_that_ends_in_the_header_of_its_scan_is_left(behind: int) -> None:
    data = encode(PHOTO)
    assert decode(data[: data.index(b"\xff\xda") + behind]) is None


def test_data_behind_the_end_is_left() -> None:
    assert decode(encode(PHOTO) + bytes(100)) is None


def test_sizes_beyond_the_limits_are_left() -> None:
    data = encode(PHOTO)
    assert decode(data, ImageLimits(max_pixels=640 * 480 - 1)) is None
    assert decode(data, ImageLimits(max_pixels=640 * 480)) is not None
    assert decode(data, ImageLimits(min_side=481)) is None


def test_a_large_image_that_failed_is_not_tried_again_by_a_worker() -> None:
    large = encode(noise(2000, 1500), "JPEG", quality=95)
    assert decode(large, bounded=True) is not None
    with pytest.raises(BeyondBounds):
        decode(large[:-5000], bounded=True)
