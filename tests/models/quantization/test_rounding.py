"""Weights in integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints.checkpoint import Affine, LayerWeights, QuantizedLayer
from models.quantization.rounding import (
    image_affine,
    image_correction,
    in_bias_steps,
    weight_scales,
)
from models.recipes.integers import LayerNumbers, round_layer


def weights(seed: int, channels: int = 5) -> LayerWeights:
    random = np.random.default_rng(seed)
    spread = 10.0 ** random.uniform(-4, 1, (channels, 1, 1, 1))
    kernel = random.normal(0, 1, (channels, 3, 3, 3)) * spread
    return LayerWeights(kernel.astype(np.float32), random.normal(0, 1, channels).astype(np.float32))


def rounded(
    layer: LayerWeights, source: Affine, shift: np.ndarray, per_channel: bool = True
) -> QuantizedLayer:
    scales = weight_scales(layer, source, per_channel)
    return round_layer(layer, source, LayerNumbers(scales, in_bias_steps(shift, source, scales)))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_a_weight_is_off_by_half_a_step_at_most(seed: int, per_channel: bool) -> None:
    layer = weights(seed)
    found = rounded(layer, Affine(0.02, 3), np.zeros(5, np.float32), per_channel)
    steps = found.scales[:, None, None, None]
    assert (np.abs(found.kernel * steps - layer.kernel) <= steps * 0.5001).all()
    assert (len(set(found.scales.tolist())) == 1) or per_channel
    bias = found.bias * (0.02 * found.scales.astype(np.float64))
    assert np.allclose(bias, layer.bias, atol=0.02 * found.scales.max())


def test_a_channel_without_weights_keeps_its_bias() -> None:
    layer = LayerWeights(np.zeros((2, 3, 1, 1), np.float32), np.array([5.0, 0.0], np.float32))
    found = rounded(layer, Affine(1e-3, 0), np.zeros(2, np.float32))
    assert np.allclose(found.bias * (1e-3 * found.scales.astype(np.float64)), layer.bias, rtol=1e-6)


def test_weights_have_127_steps_on_both_sides_of_zero() -> None:
    kernel = np.array([1.0, -0.5, 0.004, -1.0, 0.0, 0.25], np.float32).reshape(2, 3, 1, 1)
    layer = LayerWeights(kernel, np.array([0.5, -0.25], np.float32))
    shift = np.array([0.5, 0.0], np.float32)
    found = rounded(layer, Affine(0.1, 3), shift)
    assert found.scales == pytest.approx([1 / 127, 1 / 127])
    assert found.kernel.reshape(2, 3).tolist() == [[127, -64, 1], [-127, 0, 32]]
    assert found.zero_points.tolist() == [0, 0]
    assert found.bias.tolist() == [1270, -318]  # (0.5 + 0.5) and -0.25 in steps of 0.1 / 127
    halved = LayerWeights(kernel * np.array([1, 0.5], np.float32)[:, None, None, None], layer.bias)
    assert rounded(halved, Affine(0.1, 3), shift).scales == pytest.approx([1 / 127, 1 / 254])
    assert rounded(halved, Affine(0.1, 3), shift, per_channel=False).kernel.reshape(
        2, 3
    ).tolist() == [[127, -64, 1], [-64, 0, 16]]


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_one_zero_point_for_three_means_is_made_good_in_the_bias(seed: int) -> None:
    layer = weights(seed)
    offset = np.array([123.675, 116.28, 103.53], np.float32)
    levels = image_affine(offset)
    patch = np.random.default_rng(seed).integers(0, 256, (3, 3, 3)).astype(np.float64)
    means, kernel = offset.astype(np.float64)[:, None, None], layer.kernel.astype(np.float64)
    exact = (kernel * (patch - means)).sum(axis=(1, 2, 3))
    ours = (kernel * (patch - levels.zero_point)).sum(axis=(1, 2, 3))
    corrected = ours + image_correction(layer, offset, levels)
    assert np.allclose(corrected, exact, rtol=1e-4, atol=1e-3 * np.abs(kernel).max())
