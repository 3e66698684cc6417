"""Latency of a network predicted from its exact cost by a linear model fitted to this device.

The time of a run is the sum of arithmetic, memory and overhead, each proportional to one figure of
the network's cost table. The factors hold for one device, one runtime and one precision;
`models.recommendation.probe` determines them by timing a few small networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.arrays import Float64Array
from app.card.card import LayerRow, Precision
from models.network.cost import ELEMENT_BYTES

FEATURES = ("dense madds", "depthwise madds", "activation bytes", "weight bytes", "layers")


@dataclass(frozen=True, slots=True)
class TimedNetwork:
    """The cost table of a network and the time of its fastest run."""

    layers: Sequence[LayerRow]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """Milliseconds per unit of each feature of a cost table on this device."""

    precision: Precision
    factors: tuple[float, ...]
    worst_error: float  # maximum relative error on the fitted networks

    def predict_ms(self, layers: Sequence[LayerRow]) -> float:
        """Predicted time of one run on one thread of an idle machine."""
        return float(features(layers, self.precision) @ np.array(self.factors))


def fit(timed: Sequence[TimedNetwork], precision: Precision) -> LatencyModel:
    """Fit non-negative factors that minimise the sum of squared relative errors.

    Raises:
        ValueError: `timed` is empty.
    """
    if not timed:
        raise ValueError("No network was timed.")
    table = np.array([features(each.layers, precision) for each in timed])
    times = np.array([each.milliseconds for each in timed])
    factors = _least_squares(table / times[:, None])
    errors = table @ factors / times - 1
    return LatencyModel(precision, tuple(factors.tolist()), float(np.abs(errors).max()))


def features(layers: Sequence[LayerRow], precision: Precision) -> Float64Array:
    """The values of FEATURES, in this order."""
    weighted = [row for row in layers if row.weights]
    depthwise = sum(row.madds for row in weighted if row.kind == "depthwise")
    return np.array(
        [
            sum(row.madds for row in weighted) - depthwise,
            depthwise,
            sum(row.activation_bytes for row in layers),
            sum(row.weights for row in weighted) * ELEMENT_BYTES[precision],
            len(weighted),
        ],
        dtype=np.float64,
    )


def _least_squares(table: Float64Array) -> Float64Array:
    """Minimise |table @ x - 1| for x >= 0 by dropping the most negative column repeatedly."""
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
