"""Rules that choose the range of an activation that the 256 levels of uint8 cover."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import Affine
from models.quantization.calibration import Activations

LEVELS = 255
MIN_SCALE = 1e-30
RangeRule = Literal["minmax", "percentile", "mse"]
PERCENTILE = 99.99
# Fractions of the full range that the search for the minimum squared error tries.
RANGE_FRACTIONS = np.linspace(1.0, 0.3, 36)
MAX_SAMPLES_FOR_MSE = 1 << 16


def affine(low: float, high: float) -> Affine:
    """Scale and zero point of a range, extended to include 0 exactly, which padding needs."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / LEVELS))
    if scale < MIN_SCALE:  # all values are zero in float32
        return Affine(1.0, 0)
    return Affine(scale, int(np.clip(round(-low / scale), 0, LEVELS)))


def fake_quantize(values: Float32Array, to: Affine) -> Float32Array:
    """Values rounded to the levels of an affine, as float32."""
    levels = np.clip(np.round(values / np.float32(to.scale)) + to.zero_point, 0, LEVELS)
    return np.asarray((levels - to.zero_point) * to.scale, np.float32)


def minmax(activations: Activations) -> Affine:
    return affine(float(activations.minimum.min()), float(activations.maximum.max()))


def percentile(activations: Activations) -> Affine:
    low, high = np.percentile(activations.samples, (100 - PERCENTILE, PERCENTILE))
    return affine(float(low), float(high))


def mse(activations: Activations) -> Affine:
    """The range with the minimum mean squared error over the samples."""
    step = max(1, activations.samples.size // MAX_SAMPLES_FOR_MSE)
    values = activations.samples[::step]  # all channels of some positions
    low, high = float(activations.minimum.min()), float(activations.maximum.max())
    candidates = [affine(low * fraction, high * fraction) for fraction in RANGE_FRACTIONS]
    errors = [np.square(fake_quantize(values, to) - values).mean() for to in candidates]
    return candidates[int(np.argmin(errors))]


RULES: Mapping[RangeRule, Callable[[Activations], Affine]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
}
