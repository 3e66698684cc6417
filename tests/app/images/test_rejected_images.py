"""Hostile and broken files: refused with one clear error, or decoded to their pixels."""

import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app.card.card import Preprocessing
from app.errors import (
    DamagedImage,
    EmptyBody,
    ImageError,
    ImageTooSmall,
    NotAnImage,
    OutOfMemory,
    TooManyPixels,
    UnsupportedFormat,
)
from app.images.decode import load_image
from app.images.formats import sniff
from app.images.limits import ImageLimits
from tests.app.sample_images import cat, encode, oriented_exif

Pixels = NDArray[np.uint8]
LIMITS = ImageLimits()
TORCHVISION = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")


def load(data: bytes, resolution: int = 32, preprocessing: Preprocessing = TORCHVISION) -> Pixels:
    return load_image(data, resolution, preprocessing, LIMITS)


SAMPLES: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True, "exif": oriented_exif(6)},
    "PNG": {},
    "PNG with EXIF": {"exif": oriented_exif(6)},
    "WebP": {},
    "WebP lossless": {"lossless": True, "exif": oriented_exif(6)},
    "BMP": {},
    "GIF": {"transparency": 0},
    "TIFF": {},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
}


@cache
def sample(name: str) -> bytes:
    """Return a whole small photo in one of the ways it can be compressed."""
    return encode(cat(96, 64), name.split()[0], **SAMPLES[name])


def test_nothing_is_refused_as_an_empty_body() -> None:
    with pytest.raises(EmptyBody, match="JPEG, PNG, WebP, BMP, GIF, TIFF"):
        load(b"")


@pytest.mark.parametrize("data", [b"not a photo\n", b"\x00" * 5000, b"PK\x03\x04", b"BM", b"\xff"])
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match=r"^Unrecognized image format\. Supported: JPEG"):
        load(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("Big-endian BigTIFF", b"MM\x00+\x00\x08\x00\x00"),
        ("MP4", b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00"),
        ("JPEG XL", b"\xff\x0a\x00"),
        ("JPEG 2000", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
        ("ICO", encode(Image.new("RGB", (32, 32)), "ICO")),
        ("PSD", b"8BPS\x00\x01"),
        ("PDF", b"%PDF-1.7"),
        ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("PNM", encode(Image.new("RGB", (32, 32)), "PPM")),
    ],
)
def test_a_known_format_that_is_not_taken_is_refused_by_name(name: str, data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=f"^{name} files are not supported"):
        sniff(data)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_image_is_refused_with_its_format(name: str, part: float) -> None:
    data = sample(name)
    with pytest.raises(DamagedImage, match=f"^The {name.split()[0]} image is (cut off|damaged)"):
        load(data[: int(len(data) * part)])


def test_a_truncated_jpeg_is_refused_with_its_reason() -> None:
    with pytest.raises(DamagedImage, match="is cut off before its last pixel"):
        load(sample("JPEG")[:-200])


@pytest.mark.unmeasured
@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_mutated_file_gives_pixels_or_an_image_error(data: st.DataObject) -> None:
    whole = sample(data.draw(st.sampled_from(sorted(SAMPLES))))
    mutated = bytearray(whole)
    places = st.one_of(st.integers(0, 99), st.integers(0, len(whole) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        mutated[place] = data.draw(st.integers(0, 255))
    assert_refused_or_loaded(bytes(mutated[: data.draw(st.integers(1, len(whole)))]))
    assert_refused_or_loaded(bytes(mutated))


@pytest.mark.unmeasured
@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=200), st.integers(4, 40))
@settings(deadline=None, max_examples=200)
def test_random_bytes_after_a_real_beginning_give_pixels_or_an_image_error(
    name: str, tail: bytes, kept: int
) -> None:
    assert_refused_or_loaded(sample(name)[:kept] + tail)


def assert_refused_or_loaded(data: bytes) -> None:
    try:
        pixels = load_image(data, 32, TORCHVISION, ImageLimits(max_pixels=1_000_000))
    except ImageError as error:
        sound = "0x" not in error.detail and "object" not in error.detail
    else:
        sound = pixels.shape == (32, 32, 3)
    assert sound


def test_a_png_of_20000_by_20000_pixels_in_100_kb_is_refused_from_its_header() -> None:
    data = encode(Image.new("1", (20_000, 20_000)), "PNG", optimize=False)
    assert len(data) < 100_000
    with pytest.raises(
        TooManyPixels, match="declares 20000 x 20000 pixels; the maximum is 100000000"
    ):
        load(data)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_the_pixel_limit_holds_for_every_format(image_format: str) -> None:
    data = encode(cat(100, 100), image_format)
    assert load_image(data, 32, TORCHVISION, ImageLimits(max_pixels=10_000)).shape == (32, 32, 3)
    with pytest.raises(TooManyPixels):
        load_image(data, 32, TORCHVISION, ImageLimits(max_pixels=9_999))


def test_a_webp_canvas_is_checked_before_it_is_allocated() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = bytearray(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    data[24:30] = b"\xff\xff\x3f" * 2
    with pytest.raises(TooManyPixels, match="4194304 x 4194304"):
        load(bytes(data))


def test_a_small_tiff_with_a_giant_tile_is_refused() -> None:
    pixels = zlib.compress(bytes(1000))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 32_768, 323: 32_768, 324: 8}
    tags[325] = len(pixels)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    data = b"II*\x00" + struct.pack("<I", 8 + len(pixels)) + pixels + directory
    with pytest.raises(TooManyPixels, match="32768 x 32768"):
        load(data)


def test_one_pixel_is_refused_as_too_small() -> None:
    with pytest.raises(ImageTooSmall, match="1 x 1 pixels; the minimum side is 8"):
        load(encode(Image.new("RGB", (1, 1)), "PNG"))


def test_threads_decode_side_by_side() -> None:
    files = [sample(name) for name in SAMPLES] * 5
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(load, files))
    assert all(np.array_equal(load(data), got) for data, got in zip(files, together, strict=True))


WITHOUT_MEMORY = """
import resource, sys
from pathlib import Path
from app.images.decode import load_image
from tests.app.images.test_rejected_images import LIMITS, TORCHVISION
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 60_000_000,) * 2)
data = Path(sys.argv[1]).read_bytes()
load_image(data, 32, TORCHVISION, LIMITS, reduced_decode=False)
"""


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF"])
def test_a_lack_of_memory_is_no_fault_of_the_image(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "sound"
    path.write_bytes(encode(Image.new("RGB", (6300, 6300)), image_format))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY, str(path)], capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1].startswith(f"app.errors.{OutOfMemory.__name__}: ")
