import numpy as np
import pytest

from app.teaching.confidence import (
    best_temperature,
    calibration_error,
    cross_entropy,
    wilson_interval,
)


def test_temperature_is_the_factor_by_which_logits_are_too_large() -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=(5000, 3))
    probabilities = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(3, p=row) for row in probabilities])
    assert best_temperature(3 * true, targets) == pytest.approx(3, rel=0.1)
    assert best_temperature(true / 2, targets) == pytest.approx(0.5, rel=0.1)


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_classes() -> None:
    assert cross_entropy(np.zeros((2, 4)), np.array([0, 3])) == pytest.approx(np.log(4))


def test_calibration_error_of_four_photos_by_hand() -> None:
    # Top-1 probabilities 0.95, 0.95 (one right) and 0.65, 0.65 (both right):
    # 2/4 * |0.95 - 0.5| + 2/4 * |0.65 - 1| = 0.4
    logits = np.log([[0.95, 0.05], [0.05, 0.95], [0.65, 0.35], [0.35, 0.65]])
    assert calibration_error(logits, np.array([0, 0, 0, 1])) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    # statsmodels.stats.proportion.proportion_confint(right, total, method="wilson")
    [(8, 10, (0.4901625, 0.9433178)), (0, 10, (0, 0.2775328)), (10, 10, (0.7224672, 1))],
)
def test_wilson_interval(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=1e-6)
