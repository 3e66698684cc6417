"""Accuracy of ranked answers, with what chance alone could make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

BINS = 15
Z_95 = 1.959964  # of the normal distribution, two-sided 95 %
TOP = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of one photo: its best classes, and how sure it was of the first."""

    first: int
    confidence: float
    right: bool
    right_in_top5: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and its 95 % confidence interval, all from 0 to 1."""

    share: float
    low: float
    high: float


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a binomial share (Wilson 1927, JASA 22), good for few trials too.

    Raises:
        ValueError: there are no trials.
    """
    if trials < 1:
        raise ValueError("a share of nothing has no interval")
    share, spread = successes / trials, Z_95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 * sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(share, min(low, share), max(high, share))


def calibration_error(answers: Sequence[Answer]) -> float:
    """Expected calibration error: |accuracy - confidence| over 15 equal bins, by their size.

    Guo et al. 2017 (arXiv 1706.04599), equation 3. With few photos, chance alone makes it large.
    """
    confidence = np.array([answer.confidence for answer in answers])
    right = np.array([answer.right for answer in answers], float)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(right[bins == index].sum() - confidence[bins == index].sum()) for index in range(BINS)
    ]
    return float(sum(gaps) / len(answers))
