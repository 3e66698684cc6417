"""How far the probabilities and the accuracy of a classifier can be trusted."""

import math

import numpy as np

from app.arrays import Float64Array, IntArray, distinct
from app.teaching.softmax_regression import log_softmax

TEMPERATURES = np.geomspace(0.2, 5, 65)
BINS = 10
Z_95 = 1.959964  # two-sided 95 % of the normal distribution


def best_temperature(logits: Float64Array, targets: IntArray) -> float:
    """The temperature that minimises the cross-entropy of logits [N, classes].

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; the logits must be of
    photos that the classifier was not fitted on.
    """
    losses = [cross_entropy(logits / temperature, targets) for temperature in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def cross_entropy(logits: Float64Array, targets: IntArray) -> float:
    """The mean of -log p of the right class, in nats."""
    return float(-log_softmax(logits)[np.arange(len(targets)), targets].mean())


def calibration_error(logits: Float64Array, targets: IntArray) -> float:
    """The expected calibration error, 0 to 1, over ten bins of equal width.

    The mean distance between the probability of the top-1 class and the accuracy of a bin, weighted
    by its photos (Guo et al. 2017, equation 3).
    """
    probabilities = np.exp(log_softmax(logits))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    gaps = [
        np.count_nonzero(bins == one)
        * abs(confidence[bins == one].mean() - right[bins == one].mean())
        for one in distinct(bins)
    ]
    return float(sum(gaps) / len(targets))


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share of `right` of `total`, 0 to 1 (Wilson 1927)."""
    share, z_squared = right / total, Z_95**2
    centre = (share + z_squared / (2 * total)) / (1 + z_squared / total)
    spread = share * (1 - share) / total + z_squared / (4 * total**2)
    half = Z_95 * math.sqrt(spread) / (1 + z_squared / total)
    return max(0.0, centre - half), min(1.0, centre + half)
