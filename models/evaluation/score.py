"""Confidence interval and calibration error of classifications."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

BINS = 15
Z_95 = 1.959964  # of the normal distribution, two-sided 95 %
TOP_K = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Classification of one labelled photo; `confidence` is the probability of the top-1 class."""

    top1: int
    confidence: float
    correct: bool
    correct_in_top5: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and its 95 % confidence interval, all from 0 to 1."""

    share: float
    low: float
    high: float


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a binomial share (Wilson 1927, JASA 22), good for few trials too.

    Raises:
        ValueError: `trials` is 0.
    """
    if trials < 1:
        raise ValueError("A confidence interval needs at least one trial.")
    share, spread = successes / trials, Z_95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 * sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(share, min(low, share), max(high, share))


def calibration_error(outcomes: Sequence[Outcome]) -> float:
    """Expected calibration error: |accuracy - confidence| of 15 equal bins, weighted by size.

    Guo et al. 2017 (arXiv 1706.04599), equation 3. Chance alone makes it large with few photos.
    """
    confidence = np.array([outcome.confidence for outcome in outcomes])
    correct = np.array([outcome.correct for outcome in outcomes], float)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(correct[bins == index].sum() - confidence[bins == index].sum()) for index in range(BINS)
    ]
    return float(sum(gaps) / len(outcomes))
