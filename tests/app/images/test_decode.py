"""Bytes to pixels: geometry against a plain reference, every kind of pixel, and hostile files."""

import io
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from app.card.card import Preprocessing
from app.errors import (
    UnsupportedFormat,
)
from app.images.crop import crop_box, exif_orientation, needed_side
from app.images.decode import load_image
from app.images.jpeg.plain import RESAMPLING
from app.images.limits import ImageLimits
from tests.app.sample_images import EXIF_HEADER, cat, encode, noise, oriented_exif

Pixels = NDArray[np.uint8]

LIMITS = ImageLimits()
TORCHVISION = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
SLIM = Preprocessing(resize="central_crop", crop_fraction=0.875, interpolation="bilinear")
RULES = [pytest.param(TORCHVISION, id="shortest_edge"), pytest.param(SLIM, id="central_crop")]

sides = st.integers(8, 100_000)
resolutions = st.integers(32, 512)
preprocessings = st.builds(
    Preprocessing,
    resize=st.sampled_from(["shortest_edge", "central_crop"]),
    crop_fraction=st.floats(0.1, 1),
    interpolation=st.sampled_from(sorted(RESAMPLING)),
)


def load(data: bytes, resolution: int = 32, preprocessing: Preprocessing = TORCHVISION) -> Pixels:
    return load_image(data, resolution, preprocessing, LIMITS)


def reference(image: Image.Image, resolution: int, preprocessing: Preprocessing) -> Pixels:
    """Crop and resize in plain steps: Resize and CenterCrop of torchvision, or slim's crop."""
    resample = Image.Resampling[preprocessing.interpolation.upper()]  # by the name, not our table
    width, height = image.size
    if preprocessing.resize == "central_crop":
        left = int((width - width * preprocessing.crop_fraction) / 2)
        top = int((height - height * preprocessing.crop_fraction) / 2)
        image = image.crop((left, top, width - left, height - top))
        return np.asarray(image.resize((resolution, resolution), resample))
    short = int(resolution / preprocessing.crop_fraction + 1e-6)
    if width <= height:
        image = image.resize((short, int(short * height / width)), resample)
    else:
        image = image.resize((int(short * width / height), short), resample)
    left = round((image.width - resolution) / 2.0)
    top = round((image.height - resolution) / 2.0)
    return np.asarray(image.crop((left, top, left + resolution, top + resolution)))


def largest_difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


# Geometry


@given(sides, sides, resolutions, preprocessings)
@settings(deadline=None)
def test_the_crop_box_lies_inside_the_image(
    width: int, height: int, resolution: int, preprocessing: Preprocessing
) -> None:
    box = crop_box(width, height, resolution, preprocessing)
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height


@given(sides, sides, resolutions, st.floats(0.1, 1))
@settings(deadline=None)
def test_the_crop_box_of_shortest_edge_is_square_within_one_resized_pixel(
    width: int, height: int, resolution: int, crop_fraction: float
) -> None:
    preprocessing = TORCHVISION.model_copy(update={"crop_fraction": crop_fraction})
    left, top, right, bottom = crop_box(width, height, resolution, preprocessing)
    side = needed_side(resolution, preprocessing)
    assert right - left == pytest.approx(bottom - top, rel=1 / side)
    assert min(right - left, bottom - top) == pytest.approx(min(width, height) * resolution / side)


@given(sides, sides, resolutions, preprocessings)
@settings(deadline=None)
def test_the_crop_box_is_centred_within_one_resized_pixel(
    width: int, height: int, resolution: int, preprocessing: Preprocessing
) -> None:
    left, top, right, bottom = crop_box(width, height, resolution, preprocessing)
    assert abs(left - (width - right)) <= (right - left) / resolution * 1.001
    assert abs(top - (height - bottom)) <= (bottom - top) / resolution * 1.001


@pytest.mark.parametrize(
    ("preprocessing", "resolution", "side"),
    [(TORCHVISION, 224, 256), (TORCHVISION, 96, 109), (SLIM, 224, 256), (SLIM, 96, 110)],
)
def test_the_needed_side_follows_from_resolution_and_crop_fraction(
    preprocessing: Preprocessing, resolution: int, side: int
) -> None:
    assert needed_side(resolution, preprocessing) == side


SIZES = [(451, 300), (300, 451), (257, 256), (640, 97), (40, 61), (1023, 767)]


@pytest.mark.parametrize("resolution", [96, 224])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("interpolation", "levels"), [("bilinear", 1), ("bicubic", 2), ("lanczos", 2)]
)
def test_resizing_the_crop_equals_cropping_the_resized(
    interpolation: str, levels: int, size: tuple[int, int], resolution: int
) -> None:
    # A level or two: Pillow rounds between its two passes and goes first where it saves more.
    preprocessing = TORCHVISION.model_copy(update={"interpolation": interpolation})
    expected = reference(cat(*size), resolution, preprocessing)
    got = load(encode(cat(*size), "BMP"), resolution, preprocessing)
    assert largest_difference(got, expected) <= levels


@pytest.mark.parametrize("resolution", [96, 224])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resizing_to_the_nearest_pixel_differs_only_where_two_are_as_near(
    size: tuple[int, int], resolution: int
) -> None:
    preprocessing = TORCHVISION.model_copy(update={"interpolation": "nearest"})
    expected = reference(cat(*size), resolution, preprocessing)
    got = load(encode(cat(*size), "BMP"), resolution, preprocessing)
    assert np.mean(got != expected) < 0.02


@pytest.mark.parametrize("resolution", [96, 224])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_the_central_crop_equals_the_plain_one_but_for_its_border(
    interpolation: str, size: tuple[int, int], resolution: int
) -> None:
    # Where the plain crop repeats its last pixels, the resize of a region sees what is behind.
    preprocessing = SLIM.model_copy(update={"interpolation": interpolation})
    border = int(3 * max(1, resolution / min(size))) + 1
    inside = slice(border, -border)
    expected = reference(cat(*size), resolution, preprocessing)[inside, inside]
    got = load(encode(cat(*size), "BMP"), resolution, preprocessing)[inside, inside]
    assert largest_difference(got, expected) <= 2


@pytest.mark.parametrize("preprocessing", RULES)
@pytest.mark.parametrize("size", [(8, 100_000), (100_000, 8), (8, 8)], ids=str)
def test_panoramas_and_tiny_images_are_resized(
    size: tuple[int, int], preprocessing: Preprocessing
) -> None:
    pixels = load(encode(Image.new("RGB", size, (9, 99, 199)), "PNG"), 224, preprocessing)
    assert np.array_equal(pixels, np.broadcast_to((9, 99, 199), (224, 224, 3)))


def test_the_array_is_contiguous_rgb_bytes() -> None:
    pixels = load(encode(cat(), "PNG"), 160)
    assert pixels.shape == (160, 160, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


# EXIF orientation


@pytest.mark.unmeasured
@given(
    st.integers(8, 90),
    st.integers(8, 90),
    st.integers(1, 8),
    st.sampled_from([TORCHVISION, SLIM]),
    st.sampled_from(["PNG", "TIFF", "WEBP"]),
)
@settings(deadline=None)
def test_turning_the_result_equals_turning_the_photo_first(
    width: int, height: int, orientation: int, preprocessing: Preprocessing, image_format: str
) -> None:
    photo = cat(width, height)
    options = {"lossless": True} if image_format == "WEBP" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo, image_format, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as opened:
        turned = ImageOps.exif_transpose(opened).convert("RGB")
    expected = load(encode(turned, "BMP"), 48, preprocessing)
    assert largest_difference(load(data, 48, preprocessing), expected) <= 2


@pytest.mark.parametrize("reduced_decode", [True, False])
@pytest.mark.parametrize("preprocessing", RULES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_exif_says(
    orientation: int, order: Literal["<", ">"], preprocessing: Preprocessing, reduced_decode: bool
) -> None:
    data = encode(cat(451, 330), "JPEG", exif=oriented_exif(orientation, order), quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        turned = encode(ImageOps.exif_transpose(opened), "BMP")
    pixels = load_image(data, 96, preprocessing, LIMITS, reduced_decode=reduced_decode)
    difference = np.abs(pixels.astype(int) - load(turned, 96, preprocessing))
    assert difference.mean() < (2 if reduced_decode else 0.5)


@given(st.binary(max_size=120))
@settings(deadline=None)
def test_corrupt_exif_never_fails_the_image(garbage: bytes) -> None:
    plain = encode(noise(16, 16), "JPEG")
    for exif in (EXIF_HEADER + garbage, EXIF_HEADER + b"II*\x00\x08\x00\x00\x00" + garbage):
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        assert load(plain[:2] + segment + plain[2:]).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "exif", [None, "text", b"", oriented_exif(0), oriented_exif(9), oriented_exif(6)[:20]]
)
def test_exif_without_a_valid_orientation_states_none(exif: object) -> None:
    assert exif_orientation(exif) is None


# Reduced decoding


@pytest.mark.parametrize("preprocessing", RULES)
@pytest.mark.parametrize("size", [(1001, 667), (513, 1023), (777, 777), (2050, 515)], ids=str)
def test_reduced_decoding_keeps_the_geometry_of_odd_sizes(
    size: tuple[int, int], preprocessing: Preprocessing
) -> None:
    width, height = size
    ramp_x = np.broadcast_to(np.linspace(20, 230, width), (height, width))
    ramp_y = np.broadcast_to(np.linspace(20, 230, height)[:, None], (height, width))
    ramps = np.stack([ramp_x, ramp_y, np.full((height, width), 128)], axis=2).astype(np.uint8)
    data = encode(Image.fromarray(ramps), "JPEG", quality=98, subsampling=0)
    full = load_image(data, 64, preprocessing, LIMITS, reduced_decode=False)
    assert largest_difference(load(data, 64, preprocessing), full) <= 3


def test_reduced_decoding_begins_where_nothing_has_to_be_enlarged() -> None:
    for side, reduces in ((511, False), (512, True)):
        data = encode(noise(side, side), "JPEG")
        full = load_image(data, 224, TORCHVISION, LIMITS, reduced_decode=False)
        assert np.array_equal(load(data, 224), full) is not reduces


@pytest.mark.parametrize("name", ["cat_720p.jpg", "cat_1080p.jpg", "parrot.jpg", "hot_dog.jpg"])
def test_reduced_decoding_of_a_photo_is_close_to_full_decoding(
    name: str, known_photos: Path
) -> None:
    data = (known_photos / name).read_bytes()
    full = load_image(data, 224, TORCHVISION, LIMITS, reduced_decode=False)
    assert np.abs(load(data, 224).astype(int) - full).mean() < 2


# Kinds of pixels


ORANGE_AT_3 = [0, 0, 0] * 3 + [200, 100, 50]

KINDS = [
    # format, mode, stored colour, how to save it, the RGB that is expected
    ("JPEG", "L", 77, {}, (77, 77, 77)),
    ("JPEG", "RGB", (9, 99, 199), {}, (9, 99, 199)),
    ("JPEG", "CMYK", (255, 0, 0, 51), {}, (0, 204, 204)),
    ("PNG", "1", 1, {}, (255, 255, 255)),
    ("PNG", "L", 77, {}, (77, 77, 77)),
    ("PNG", "L", 77, {"transparency": 77}, (255, 255, 255)),
    ("PNG", "LA", (55, 51), {}, (215, 215, 215)),
    ("PNG", "P", 3, {}, (200, 100, 50)),
    ("PNG", "P", 3, {"transparency": 3}, (255, 255, 255)),
    ("PNG", "RGB", (9, 99, 199), {"transparency": (9, 99, 199)}, (255, 255, 255)),
    ("PNG", "RGBA", (255, 0, 5, 51), {}, (255, 204, 205)),
    ("PNG", "I;16", 128 * 257, {}, (128, 128, 128)),
    ("WEBP", "RGB", (9, 99, 199), {}, (9, 99, 199)),
    ("WEBP", "RGBA", (9, 9, 9, 0), {"lossless": True}, (255, 255, 255)),
    ("BMP", "1", 1, {}, (255, 255, 255)),
    ("BMP", "L", 77, {}, (77, 77, 77)),
    ("BMP", "P", 3, {}, (200, 100, 50)),
    ("GIF", "P", 3, {}, (200, 100, 50)),
    ("GIF", "P", 3, {"transparency": 3, "optimize": False}, (255, 255, 255)),
    ("TIFF", "1", 1, {}, (255, 255, 255)),
    ("TIFF", "L", 77, {"compression": "tiff_lzw"}, (77, 77, 77)),
    ("TIFF", "LA", (55, 51), {}, (215, 215, 215)),
    ("TIFF", "PA", (3, 51), {}, (244, 224, 214)),
    ("TIFF", "RGBX", (9, 99, 199, 0), {}, (9, 99, 199)),
    ("TIFF", "CMYK", (255, 0, 0, 51), {}, (0, 204, 204)),
    ("TIFF", "RGB", (9, 99, 199), {"compression": "jpeg"}, (9, 99, 199)),
    ("TIFF", "I;16", 128 * 257, {}, (128, 128, 128)),
    ("TIFF", "I;16B", 128 * 257, {}, (128, 128, 128)),
]


@pytest.mark.parametrize(("image_format", "mode", "colour", "options", "expected"), KINDS)
def test_every_kind_of_pixel_becomes_rgb(
    image_format: str,
    mode: str,
    colour: int | tuple[int, ...],
    options: dict[str, Any],
    expected: tuple[int, int, int],
) -> None:
    image = Image.new(mode, (40, 40), colour)
    if mode in {"P", "PA"}:
        image.putpalette(ORANGE_AT_3)
    data = encode(image, image_format, **options)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.mode.rstrip("XB") == mode.rstrip("XB")
    assert largest_difference(load(data), np.array(expected, np.uint8)) <= 3


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_pixels_without_a_range_of_display_are_refused(mode: str) -> None:
    with pytest.raises(UnsupportedFormat, match="pixels are not supported"):
        load(encode(Image.new(mode, (40, 40)), "TIFF"))


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_tiff_compressed_as_a_fax_is_refused(compression: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"^TIFF images with {compression} compression"):
        load(encode(Image.new("1", (40, 40)), "TIFF", compression=compression))


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    levels = np.broadcast_to(np.arange(256, dtype=np.uint16) * 257, (256, 256))
    data = encode(Image.fromarray(levels), "PNG")
    whole = TORCHVISION.model_copy(update={"crop_fraction": 1.0})
    assert np.array_equal(load(data, 256, whole)[0, :, 0], np.arange(256))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_only_the_first_picture_of_several_counts(image_format: str) -> None:
    first, second = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    data = encode(first, image_format, save_all=True, append_images=[second])
    assert largest_difference(load(data), np.array((255, 0, 0), np.uint8)) <= 3
