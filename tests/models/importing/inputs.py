"""Images and weights by rule, the same on every machine; NumPy only, for the exporters' venvs."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

SIDE = 96
ALPHA = 0.05
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LABELS = tuple(f"class {index}" for index in range(10))


def images(count: int = 3, side: int = SIDE) -> NDArray[np.uint8]:
    """Patches of random colours, [count, side, side, 3]."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (count, 6, 6, 3))
    return np.kron(coarse, np.ones((1, side // 6, side // 6, 1), int)).astype(np.uint8)


def weights(name: str, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
    """Few-bit values of the usual size (He et al. 2015, arXiv 1502.01852), which pack well."""
    random = np.random.default_rng(crc32(name.encode()))
    spread = 2.0 ** np.round(np.log2(np.sqrt(2 / fan_in) / 4))
    made: NDArray[np.float32] = (random.integers(-8, 9, shape) * spread).astype(np.float32)
    return made


def scaled(
    pixels: NDArray[np.uint8], mean: float | Sequence[float], std: float | Sequence[float]
) -> NDArray[np.float32]:
    """What people feed a network: pixel / 255, less the mean, by the deviation."""
    middle: NDArray[np.float32] = np.asarray(mean, np.float32)
    spread: NDArray[np.float32] = np.asarray(std, np.float32)
    return (pixels.astype(np.float32) / np.float32(255) - middle) / spread
