"""Still scenes as sensors see them: noise, changing light, and objects that appear."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from app.arrays import Float64Array
from loadtest.cameras.scenes import jpeg


class Size(NamedTuple):
    """Of a scene in pixels."""

    width: int
    height: int


Noise = Callable[[Float64Array, Generator, int], Float64Array]


def still_scene(random: Generator, size: Size) -> Float64Array:
    """Grey pixels [height, width] from 40 to 210: a gradient, blocks, and fine texture."""
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    scene = 80 + 60 * rows / size.height + 30 * np.sin(columns / 47)
    for _ in range(12):
        left, top = random.integers(0, size.width - 60), random.integers(0, size.height - 60)
        width, height = random.integers(30, 200, 2)
        scene[top : top + height, left : left + width] += random.uniform(-40, 40)
    scene += 12 * np.sin(columns / 2.3) * np.sin(rows / 3.1)
    return np.asarray(np.clip(scene, 40, 210))


def gaussian(sigma: float) -> Noise:
    return lambda scene, random, _: scene + random.normal(0, sigma, scene.shape)


def shot(electrons: float) -> Noise:
    """Photon noise of a sensor that white fills with so many electrons, read out with 4."""
    return lambda scene, random, _: (
        (random.poisson(scene / 255 * electrons) + random.normal(0, 4, scene.shape))
        * 255
        / electrons
    )


def flicker(levels: float) -> Noise:
    """Light of the mains, taken at other phases with every frame."""
    return lambda scene, random, at: (
        scene + levels * np.sin(at * 2.1) + random.normal(0, 3, scene.shape)
    )


def bands(levels: float) -> Noise:
    """The same under a rolling shutter: bright and dark bands that wander."""

    def apply(scene: Float64Array, random: Generator, at: int) -> Float64Array:
        rows = np.arange(len(scene))[:, None]
        light = levels * np.sin(rows / len(scene) * 2 * np.pi * 1.7 + at * 1.3)
        return scene + light + random.normal(0, 3, scene.shape)

    return apply


def salt(share: float) -> Noise:
    """Pixels that are black or white for a frame."""

    def apply(scene: Float64Array, random: Generator, _: int) -> Float64Array:
        hit = random.random(scene.shape)
        found = np.where(hit < share / 2, 0.0, scene)
        return np.where(hit > 1 - share / 2, 255.0, found)

    return apply


def coarse(sigma: float) -> Noise:
    """Noise in blocks of 16 pixels, as strong compression leaves it."""

    def apply(scene: Float64Array, random: Generator, _: int) -> Float64Array:
        height, width = scene.shape
        blocks = random.normal(0, sigma, (-(-height // 16), -(-width // 16)))
        return scene + np.kron(blocks, np.ones((16, 16)))[:height, :width]

    return apply


def exposure(share: float) -> Noise:
    """Automatic exposure that hunts: all pixels become brighter and darker by a share."""
    return lambda scene, random, at: (
        scene * (1 + share * np.sin(at * 0.9)) + random.normal(0, 3, scene.shape)
    )


def shaking(pixels: int) -> Noise:
    """A camera that wind moves by up to so many pixels."""

    def apply(scene: Float64Array, random: Generator, _: int) -> Float64Array:
        by = tuple(random.integers(-pixels, pixels + 1, 2).tolist())
        return np.roll(scene, by, (0, 1)) + random.normal(0, 3, scene.shape)

    return apply


def both(first: Noise, second: Noise) -> Noise:
    return lambda scene, random, at: second(first(scene, random, at), random, at)


NOISES: dict[str, tuple[Noise, int]] = {  # with the quality of the JPEG
    "none": (gaussian(0), 90),
    "Gaussian, sigma 4": (gaussian(4), 90),
    "Gaussian, sigma 10": (gaussian(10), 85),
    "Gaussian, sigma 20": (gaussian(20), 85),
    "shot, 1000 electrons": (shot(1000), 85),
    "shot, 150 electrons": (shot(150), 85),
    "Gaussian, JPEG at 30": (gaussian(6), 30),
    "Gaussian, JPEG at 10": (gaussian(6), 10),
    "flicker of 6 levels": (flicker(6), 80),
    "bands of 6 levels": (bands(6), 80),
    "salt and pepper, 2 %": (salt(0.02), 80),
    "blocks, sigma 2": (coarse(2), 80),
    "exposure, 5 %": (exposure(0.05), 80),
    "shaking, 1 pixel": (shaking(1), 80),
    "dusk": (both(shot(100), bands(4)), 40),
}


def frame(scene: Float64Array, noise: str, random: Generator, at: int) -> bytes:
    """What a camera sends of a scene."""
    apply, quality = NOISES[noise]
    seen = np.clip(np.rint(apply(scene, random, at)), 0, 255).astype(np.uint8)
    return jpeg(np.repeat(seen[..., None], 3, 2), quality)


def with_object(
    scene: Float64Array, share: float, levels: float, random: Generator
) -> Float64Array:
    """A scene with an ellipse or rectangle that covers a share of it, brighter or darker."""
    aspect = random.uniform(0.4, 2.5)
    kind: Literal["ellipse", "rectangle"] = random.choice(["ellipse", "rectangle"])
    size = Size(*scene.shape[::-1])
    area = share * size.width * size.height * (4 / np.pi if kind == "ellipse" else 1)
    height = np.sqrt(area / aspect)
    width = area / height
    left, top = random.uniform(0, size.width - width), random.uniform(0, size.height - height)
    mask = Image.new("L", size)
    getattr(ImageDraw.Draw(mask), kind)((left, top, left + width, top + height), 255)
    covered = np.asarray(mask) > 0
    return np.where(covered, scene + levels * random.choice([-1, 1]), scene)
