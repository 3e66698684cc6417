"""Milliseconds of a network before it exists: a linear model of its exact cost, fitted to a device.

A run is taken as the sum of what arithmetic, memory and overhead cost, each in proportion to one
figure of the network's cost table. The factors are those of one device, one runtime and one
precision; `models.recommendation.probe` finds them by timing a few small networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.arrays import Float64Array
from app.card.card import LayerRow, Precision

WEIGHT_BYTES: dict[Precision, int] = {"fp32": 4, "int8": 1}
FEATURES = ("dense madds", "depthwise madds", "activation bytes", "weight bytes", "layers")


@dataclass(frozen=True, slots=True)
class Timed:
    """A network's cost table, and the time of its fastest run: one that nothing disturbed."""

    layers: Sequence[LayerRow]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """What each feature of a cost table takes on a device, in milliseconds a unit."""

    precision: Precision
    factors: tuple[float, ...]
    worst_error: float  # largest relative error on the networks that it was fitted to

    def predict_ms(self, layers: Sequence[LayerRow]) -> float:
        """One run of a network of these layers, on one thread while nothing else runs."""
        return float(features(layers, self.precision) @ np.array(self.factors))


def fit(timed: Sequence[Timed], precision: Precision) -> LatencyModel:
    """The factors, none below 0, with the least squares of relative errors.

    Raises:
        ValueError: nothing was timed.
    """
    if not timed:
        raise ValueError("no network was timed")
    table = np.array([features(each.layers, precision) for each in timed])
    times = np.array([each.milliseconds for each in timed])
    factors = _least_squares(table / times[:, None])
    errors = table @ factors / times - 1
    return LatencyModel(precision, tuple(factors.tolist()), float(np.abs(errors).max()))


def features(layers: Sequence[LayerRow], precision: Precision) -> Float64Array:
    """What FEATURES names, in their order."""
    weighted = [row for row in layers if row.weights]
    depthwise = sum(row.madds for row in weighted if row.kind == "depthwise")
    return np.array(
        [
            sum(row.madds for row in weighted) - depthwise,
            depthwise,
            sum(row.activation_bytes for row in layers),
            sum(row.weights for row in weighted) * WEIGHT_BYTES[precision],
            len(weighted),
        ],
        dtype=np.float64,
    )


def _least_squares(table: Float64Array) -> Float64Array:
    """x >= 0 with the least |table @ x - 1|: columns that want to be negative go, worst first."""
    scale = np.abs(table).max(axis=0)
    kept = list(range(table.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(table[:, kept] / scale[kept], np.ones(len(table)), rcond=None)
        if found.min() >= 0 or len(kept) == 1:
            break
        del kept[int(found.argmin())]
    factors = np.zeros(table.shape[1])
    factors[kept] = np.maximum(found, 0) / scale[kept]
    return factors
