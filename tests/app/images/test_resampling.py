"""Pixels are averaged as colours, by the kernel that was asked for.

The oracles are the kernels' formulas in NumPy, and Pillow on images that were converted first. An
image of one colour shows nothing of this, so these have two or many.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.card.card import Preprocessing
from app.images.decode import load_image
from app.images.limits import ImageLimits
from tests.app.sample_images import cat, encode

Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Pixels = NDArray[np.uint8]
SIDE = 64  # of the result
ORANGE, BLUE = (250, 120, 10), (10, 40, 240)


def whole(interpolation: str = "bilinear") -> Preprocessing:
    """All of an image, resized in one step."""
    return Preprocessing.model_validate(
        {"resize": "central_crop", "crop_fraction": 1.0, "interpolation": interpolation}
    )


def load(data: bytes, interpolation: str = "bilinear") -> Pixels:
    return load_image(data, SIDE, whole(interpolation), ImageLimits())


def triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum(0, 1 - np.abs(x))
    return found


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys (1981), equation 4 with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    found: NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return found


def lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return found


def resized_row(row: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """A row [W] resampled to SIDE: the kernel is widened when the row shrinks."""
    scale = len(row) / SIDE
    centres = (np.arange(SIDE) + 0.5) * scale
    places = np.arange(len(row)) + 0.5
    weights = kernel((places[None] - centres[:, None]) / max(scale, 1.0))
    found: NDArray[np.float64] = weights @ row / weights.sum(axis=1)
    return np.clip(found, 0, 255)


@pytest.mark.parametrize("width", [24, 41, 64, 150, 333])
@pytest.mark.parametrize(
    ("interpolation", "kernel"), [("bilinear", triangle), ("bicubic", cubic), ("lanczos", lanczos)]
)
def test_a_row_is_resized_by_the_kernel_of_its_name(
    interpolation: str, kernel: Kernel, width: int
) -> None:
    row = np.random.default_rng(width).integers(0, 256, width)
    image = np.broadcast_to(row[None, :, None], (SIDE, width, 3)).astype(np.uint8)
    found = load(encode(Image.fromarray(image), "PNG"), interpolation)
    expected = resized_row(row.astype(np.float64), kernel)
    assert np.abs(found[0, :, 0] - expected).max() < 1.01
    assert (found == found[0]).all()
    for other in (triangle, cubic, lanczos):  # which this can tell apart
        if other is not kernel and width != SIDE:
            assert np.abs(found[0, :, 0] - resized_row(row.astype(np.float64), other)).max() > 4


def test_the_nearest_pixel_is_one_of_the_image() -> None:
    row = np.random.default_rng(0).integers(0, 256, 3 * SIDE)
    image = np.broadcast_to(row[None, :, None], (SIDE, 3 * SIDE, 3)).astype(np.uint8)
    found = load(encode(Image.fromarray(image), "PNG"), "nearest")
    assert found[0, :, 0].tolist() == row[1::3].tolist()


@cache
def in_colours(colours: int) -> Image.Image:
    return cat(300, 300).quantize(colours)


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("colours", [2, 16, 256])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_colours_of_a_palette_are_averaged_and_not_their_numbers(
    interpolation: str, colours: int, image_format: str
) -> None:
    photo = in_colours(colours)
    expected = np.asarray(
        photo.convert("RGB").resize((SIDE, SIDE), Image.Resampling[interpolation.upper()])
    )
    found = load(encode(photo, image_format), interpolation)
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_a_board_of_two_colours_becomes_their_mean() -> None:
    board = np.indices((4 * SIDE, 4 * SIDE)).sum(axis=0) % 2
    image = Image.fromarray(board.astype(np.uint8), "P")
    image.putpalette([*ORANGE, *BLUE])
    mean = np.mean([ORANGE, BLUE], axis=0)
    for name in ("PNG", "GIF"):
        assert np.abs(load(encode(image, name)) - mean).max() <= 2
    bits = Image.fromarray((board * 255).astype(np.uint8)).convert("1")
    for name in ("PNG", "BMP", "TIFF"):
        assert np.abs(load(encode(bits, name)) - 127.5).max() <= 2


def test_sixteen_bits_are_averaged_before_they_become_eight() -> None:
    """Between 100 and 101 of 255, where a pixel is one or the other, lies a half."""
    steps = np.where(np.indices((4 * SIDE, 4 * SIDE)).sum(axis=0) % 2, 60_000, 1_000)
    found = load(encode(Image.fromarray(steps.astype(np.uint16)), "PNG"))
    assert np.abs(found - 30_500 / 257).max() <= 1


def test_the_colour_of_a_transparent_pixel_is_not_seen_at_its_border() -> None:
    """Half of the pixels are opaque blue, half are orange that nobody sees: over white."""
    board = (np.indices((4 * SIDE, 4 * SIDE)).sum(axis=0) % 2)[..., None]
    rgba = np.where(board, (*BLUE, 255), (*ORANGE, 0)).astype(np.uint8)
    expected = (np.array(BLUE) + 255) / 2
    data = {
        "PNG": encode(Image.fromarray(rgba), "PNG"),
        "WebP": encode(Image.fromarray(rgba), "WEBP", lossless=True, exact=True),
    }
    for name, image in data.items():
        assert np.abs(load(image) - expected).max() <= 2, name
