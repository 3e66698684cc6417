"""Accuracy, its confidence interval, and calibration."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.score import Outcome, calibration_error, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # R: prop.test(x, n, correct = FALSE)$conf.int
        pytest.param(15, 16, 0.7167, 0.9889, id="15-of-16"),
        pytest.param(0, 10, 0.0, 0.2775, id="none"),
        pytest.param(10, 10, 0.7225, 1.0, id="all"),
        pytest.param(50, 100, 0.4038, 0.5962, id="half"),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)


@settings(deadline=None)
@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(trials: int, part: float) -> None:
    successes = round(part * trials)
    found = wilson(successes, trials)
    assert 0 <= found.low <= found.share <= found.high <= 1
    more = wilson(4 * successes, 4 * trials)
    assert more.high - more.low < found.high - found.low


def test_a_share_of_nothing_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0, 0)


def outcomes(confidence: float, right: int, wrong: int) -> list[Outcome]:
    flags = [True] * right + [False] * wrong
    return [Outcome(1, confidence, flag, flag) for flag in flags]


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert calibration_error(outcomes(0.75, 3, 1)) == pytest.approx(0)
    assert calibration_error(outcomes(1.0, 1, 1)) == pytest.approx(0.5)
    mixed = outcomes(0.75, 3, 1) + outcomes(0.25, 4, 0)  # the half of them is off by 0.75
    assert calibration_error(mixed) == pytest.approx(0.375)


def test_gaps_within_one_bin_cancel_and_those_of_two_bins_add_up() -> None:
    assert calibration_error(outcomes(0.50, 1, 0) + outcomes(0.52, 0, 1)) == pytest.approx(0.01)
    assert calibration_error(outcomes(0.40, 1, 0) + outcomes(0.60, 0, 1)) == pytest.approx(0.6)
