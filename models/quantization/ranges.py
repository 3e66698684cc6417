"""Which range of an activation the 256 levels of uint8 are spread over."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import Affine
from models.quantization.calibration import Activations

LEVELS = 255
SMALLEST_SCALE = 1e-30
RangeRule = Literal["minmax", "percentile", "mse"]
PERCENTILE = 99.99
# How far the range is drawn in, of what was seen, when the least squared error is looked for.
SHRINKS = np.linspace(1.0, 0.3, 36)
SAMPLES_FOR_MSE = 1 << 16


def affine(low: float, high: float) -> Affine:
    """Levels over a range, widened to hold 0, which is a level itself: padding must stay exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / LEVELS))
    if scale < SMALLEST_SCALE:  # nothing but zeros, as far as float32 can tell
        return Affine(1.0, 0)
    return Affine(scale, int(np.clip(round(-low / scale), 0, LEVELS)))


def fake_quantize(values: Float32Array, to: Affine) -> Float32Array:
    """Values rounded to their levels, as float32."""
    levels = np.clip(np.round(values / np.float32(to.scale)) + to.zero_point, 0, LEVELS)
    return np.asarray((levels - to.zero_point) * to.scale, np.float32)


def minmax(seen: Activations) -> Affine:
    """All that was seen."""
    return affine(float(seen.minimum.min()), float(seen.maximum.max()))


def percentile(seen: Activations) -> Affine:
    """All but the outermost of the values."""
    low, high = np.percentile(seen.samples, (100 - PERCENTILE, PERCENTILE))
    return affine(float(low), float(high))


def mse(seen: Activations) -> Affine:
    """The range with the least mean squared error of the values seen."""
    values = seen.samples[:: max(1, seen.samples.size // SAMPLES_FOR_MSE)]  # all channels of some
    low, high = float(seen.minimum.min()), float(seen.maximum.max())
    candidates = [affine(low * shrink, high * shrink) for shrink in SHRINKS]
    errors = [np.square(fake_quantize(values, to) - values).mean() for to in candidates]
    return candidates[int(np.argmin(errors))]


RULES: Mapping[RangeRule, Callable[[Activations], Affine]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
}
