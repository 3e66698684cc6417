"""Ranges of activations and their 256 levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.quantization.calibration import Activations
from models.quantization.ranges import RULES, affine, fake_quantize, minmax, mse, percentile

LEVELS = 255  # of uint8
ends = st.floats(-1e4, 1e4, width=32)


def seen(values: np.ndarray) -> Activations:
    """Activations [positions, channels] of which every value was sampled."""
    values = values.astype(np.float32)
    return Activations(values.min(axis=0), values.max(axis=0), values.mean(axis=0), values)


@settings(deadline=None)
@given(ends, ends)
def test_zero_is_a_level_of_every_range(one: float, other: float) -> None:
    levels = affine(min(one, other), max(one, other))
    assert 0 <= levels.zero_point <= LEVELS
    assert levels.scale > 0
    assert fake_quantize(np.zeros(1, np.float32), levels)[0] == 0


@settings(deadline=None)
@given(st.floats(-100, -0.01), st.floats(0.01, 100), st.floats(0, 1))
def test_a_value_within_the_range_is_off_by_one_level_at_most(
    low: float, high: float, share: float
) -> None:
    levels = affine(low, high)
    value = np.array([low + share * (high - low)], np.float32)
    assert abs(fake_quantize(value, levels)[0] - value[0]) <= levels.scale * 1.001


def test_a_tensor_of_zeros_has_a_range_too() -> None:
    for rule in RULES.values():
        assert rule(seen(np.zeros((10, 3)))).scale > 0


def test_one_outlier_widens_the_range_of_all_that_was_seen_and_no_other() -> None:
    values = np.random.default_rng(0).normal(0, 1, (50_000, 4))
    values[0, 0] = 200
    everything = minmax(seen(values)).scale
    assert everything == pytest.approx((200 - values.min()) / LEVELS, rel=1e-3)
    assert percentile(seen(values)).scale < everything / 10
    assert mse(seen(values)).scale < everything


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_range_of_minimum_error_is_no_worse_than_the_full_range(
    seed: int, spread: float
) -> None:
    values = np.random.default_rng(seed).standard_t(3, (500, 4)).astype(np.float32) * spread
    activations = seen(values)
    errors = [
        np.square(fake_quantize(values, rule(activations)) - values).mean()
        for rule in (minmax, mse)
    ]
    assert errors[1] <= errors[0]


def test_every_channel_counts_for_the_range_of_minimum_error() -> None:
    values = np.zeros((40_000, 8))
    values[:, 5] = 6.0
    assert mse(seen(values)).scale == pytest.approx(6 / LEVELS, rel=0.02)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(0, 6, 6 / 255, 0), (-3, 1, 4 / 255, 191), (-2, 0, 2 / 255, 255), (1, 4, 4 / 255, 0),
     (-4, -1, 4 / 255, 255), (-1, 4, 1 / 51, 51)],
)  # fmt: skip
def test_a_range_is_255_steps_with_zero_among_them(
    low: float, high: float, scale: float, zero_point: int
) -> None:
    found = affine(low, high)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.zero_point == zero_point


def test_values_are_rounded_to_the_nearest_level_and_clipped() -> None:
    values = np.array([-9.0, -1.0, -0.011, 0.009, 0.5, 4.0, 9.0], np.float32)
    found = fake_quantize(values, affine(-1, 4)) * 51
    assert found == pytest.approx([-51, -51, -1, 0, 26, 204, 204], abs=1e-4)


def test_the_outermost_hundredth_of_a_percent_is_cut_off_on_both_sides() -> None:
    values = np.linspace(-1, 1, 100_001)[:, None]
    found = percentile(seen(values))
    assert found.scale == pytest.approx(2 * 0.9998 / LEVELS, rel=1e-4)
