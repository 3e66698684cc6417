"""Files that were answered wrongly once, as a table: before, and what is right.

The files are in image_cases/. `before` documents the fault and is not tested. The right
answer is the pixels of another file, two grey levels, or an error.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from app.card.card import Preprocessing
from app.errors import DamagedImage, RequestError, UnsupportedFormat
from app.images.decode import decode_square, load_image
from app.images.limits import ImageLimits
from app.images.plugins import heif

FILES = Path(__file__).with_name("image_cases")
RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
LIMITS = ImageLimits()


class Case(NamedTuple):
    """`after` is the name of a file with the same pixels, a corner and a middle, or an error."""

    file: str
    before: str
    after: str | tuple[int, int] | tuple[type[RequestError], str]
    tolerance: float = 0.5  # mean difference of a level


DAMAGED, UNSUPPORTED = DamagedImage, UnsupportedFormat
CASES = [
    Case("grey16_MM_big_endian.tif", "200 window screen, noise", "grey16_II_twin.tif"),
    Case("grey16_II_white_is_zero.tif", "200 cowboy boot, negative", "grey16_II_twin.tif"),
    Case("rgb16_II_planar.tif", "200 window shade, noise", (UNSUPPORTED, "16-bit RGB pixels in")),
    Case("rgb_float32.tif", "400 damaged-image", (UNSUPPORTED, "32-bit floating-point RGB")),
    Case("jpeg_12bit_header.jpg", "400 damaged-image", (UNSUPPORTED, "12 bits per sample")),
    Case("progressive_metadata_ffda.jpg", "400 more than 100 scans", "progressive_twin.jpg"),
    Case("jpeg_lossless_grey.jpg", "400 damaged-image", (128, 223)),
    Case("png_icc_1200k.png", "400 damaged-image", "png_twin.png"),
    Case("png_ztxt_1200k.png", "400 damaged-image", "png_twin.png"),
    Case("png_bad_crc_in_text.png", "400 damaged-image", "png_twin.png"),
    Case("png_raw_profile_exif_o6.png", "200 not turned", "png_eXIf_o6_twin.png"),
    Case("png_gray16_trns.png", "200 corner 0", (255, 117)),
    Case("png_rgb16_trns300.png", "200 corner 1", (255, 118)),
    Case("gif_first_frame_smaller.gif", "200 corner 255 0 0", (255, 255)),
    Case("truncated_last_10_bytes.jpg", "400 cut off", (DAMAGED, "cut off")),
    Case("first_quarter_plus_eoi.jpg", "200 envelope", (DAMAGED, "cannot be decoded to its end")),
    Case("cat.avif", "415", "cat.jpg", 3),
    Case("cat.heic", "415", "cat.jpg", 3),
]


def load(path: Path) -> NDArray[np.uint8]:
    return load_image(path.read_bytes(), 224, RULE, LIMITS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_the_answer_is_the_right_one(case: Case) -> None:
    if case.file.endswith(".heic") and not heif.heic_is_installed():
        pytest.skip("needs pi-heif, of the development requirements")
    path = FILES / case.file
    if isinstance(case.after, str):
        difference = load(path).astype(int) - load(FILES / case.after)
        assert np.abs(difference).mean() <= case.tolerance
        return
    first, second = case.after
    if isinstance(first, int):
        pixels = load(path)
        assert (int(pixels[0, 0, 0]), int(pixels[112, 112, 0])) == (first, second)
        return
    with pytest.raises(first, match=str(second)):
        load(path)


def test_data_lost_inside_a_file_is_a_warning() -> None:
    data = (FILES / "lost_2000_bytes_mid.jpg").read_bytes()
    [warning] = decode_square(data, 224, RULE, LIMITS).warnings
    assert "ends before its last pixel" in warning
