"""Random sizes of structured images, within what a service accepts."""

import math
from random import Random

MAX_FILE_BYTES = 8_000_000
MAX_SIDE = 6320  # squared, just under the default limit of pixels


def random_count(random: Random, most: int) -> int:
    """A number up to `most`, of every order of magnitude alike, and often the largest."""
    return most if random.random() < 0.15 else round(math.exp(random.uniform(0, math.log(most))))


def random_sides(random: Random, most: int = MAX_SIDE) -> tuple[int, int]:
    """Sides of an image: often square and large, sometimes 8 wide."""
    pixels = max(64, random_count(random, most * most))
    width = 8 if random.random() < 0.2 else max(8, math.isqrt(pixels))
    return width, max(8, min(65_000, pixels // width))
