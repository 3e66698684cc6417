"""The region of a photo that a model sees, by its header."""

import io

import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.explain.photo import input_region
from tests.app.sample_images import cat, encode, oriented_exif

WHOLE_CENTRE = Preprocessing(resize="shortest_edge", crop_fraction=1, interpolation="bilinear")


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG with another one in its header, as cameras write it: its scan is not the photo's."""
    thumbnail = encode(Image.new("RGB", (16, 16), (200, 30, 30)))
    segment = b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0" + thumbnail
    length = (len(segment) + 2).to_bytes(2)
    return data[:2] + b"\xff\xe1" + length + segment + data[2:]


@pytest.mark.parametrize("again", [False, True])
def test_the_scan_of_a_thumbnail_is_not_taken_for_that_of_the_photo(again: bool) -> None:
    for size in ((400, 300), (200, 300)):
        photo = with_thumbnail(encode(cat(*size)))
        assert photo.count(b"\xff\xda") >= 2
        assert Image.open(io.BytesIO(photo)).size == size
        side = min(size)
        left, top = (size[0] - side) / 2, (size[1] - side) / 2
        for _ in range(1 + again):
            region = input_region(photo, 96, WHOLE_CENTRE)
            assert region == pytest.approx((left, top, left + side, top + side), abs=1)


def test_photos_with_the_same_pixels_and_other_headers_have_their_own_regions() -> None:
    upright = encode(cat(400, 300))
    turned = encode(cat(400, 300), exif=oriented_exif(6))
    for _ in range(2):  # the second time from what was kept
        assert input_region(upright, 96, WHOLE_CENTRE) == pytest.approx((50, 0, 350, 300), abs=1)
        assert input_region(turned, 96, WHOLE_CENTRE) == pytest.approx((0, 50, 300, 350), abs=1)


def test_a_header_that_ends_early_has_no_region() -> None:
    assert input_region(encode(cat(400, 300))[:100], 96, WHOLE_CENTRE) is None
