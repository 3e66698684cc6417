"""Weights derived from the names and shapes of tensors alone.

They replace trained weights where none are needed: to measure cost and latency, and to compare an
exported model with a framework, which derives the same tensors by the same rule, so that only its
answers have to be recorded. The bits come from PCG64, whose stream NumPy promises never to change
(NEP 19).
"""

from math import prod, sqrt
from zlib import crc32

import numpy as np

from app.arrays import Float32Array


def uniform(
    name: str, shape: tuple[int, ...], low: float, high: float, seed: int = 0
) -> Float32Array:
    """Values from `low` to `high`, determined by the tensor's name, its shape and the seed."""
    generator = np.random.PCG64([seed, crc32(name.encode())])
    unit = (generator.random_raw(prod(shape)) >> np.uint64(11)) * 2.0**-53
    return (low + (high - low) * unit).astype(np.float32).reshape(shape)


def kernel(name: str, shape: tuple[int, ...], fan_in: int, seed: int = 0) -> Float32Array:
    """A kernel of variance 2 / fan_in, which preserves the variance of signals.

    Source: He et al., arXiv 1502.01852.
    """
    limit = sqrt(6 / fan_in)
    return uniform(name, shape, -limit, limit, seed)


def batch_norm(name: str, channels: int, seed: int = 0) -> dict[str, Float32Array]:
    """Gamma, beta, mean and variance of a batch norm, each [channels], none of them trivial."""
    ranges = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5), "mean": (-0.2, 0.2), "variance": (0.5, 1.5)}
    return {
        part: uniform(f"{name}/{part}", (channels,), low, high, seed)
        for part, (low, high) in ranges.items()
    }


def bias(name: str, channels: int, seed: int = 0) -> Float32Array:
    """A bias [channels] with values other than zero."""
    return uniform(name, (channels,), -0.5, 0.5, seed)
