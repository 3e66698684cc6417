"""Scales of weights, and corrections of biases for what rounding changes on average."""

import numpy as np

from app.arrays import Float32Array, Float64Array
from models.checkpoints.checkpoint import Affine, LayerWeights
from models.network.network import Node
from models.quantization.calibration import Activations
from models.quantization.ranges import fake_quantize
from models.recipes.integers import WEIGHT_LEVELS, Corrections, bias_steps, round_kernel

# A bias shares its int32 accumulator with the products.
MAX_BIAS = 1 << 30


def image_affine(offset: Float32Array) -> Affine:
    """The affine of the image; its zero point is the rounded mean of `offset` [3]."""
    return Affine(1.0, round(float(offset.mean())))  # pixels are integers already


def weight_scales(weights: LayerWeights, source: Affine, per_channel: bool = True) -> Float32Array:
    """Scale of each output channel [out] of a layer whose input has the affine `source`.

    A channel with a bias and nearly zero weights gets a scale that is large enough for the bias.
    """
    magnitude = np.abs(weights.kernel.astype(np.float64)).max(axis=(1, 2, 3))
    if not per_channel:
        magnitude = np.full_like(magnitude, magnitude.max())
    bias = np.abs(weights.bias.astype(np.float64))
    minimum = np.maximum(bias / (source.scale * MAX_BIAS), np.finfo(np.float32).tiny)
    return np.asarray(np.maximum(magnitude / WEIGHT_LEVELS, minimum), np.float32)


def in_bias_steps(shift: Float32Array, source: Affine, scales: Float32Array) -> Corrections:
    """A shift of the biases [out], in steps of the biases."""
    return np.rint(shift.astype(np.float64) / bias_steps(source, scales)).astype(np.int32)


def bias_correction(
    node: Node, weights: LayerWeights, scales: Float32Array, source: Activations, affine: Affine
) -> Float32Array:
    """Bias shift [out] that compensates the mean error of rounding the weights and the input.

    Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with calibrated means. Ignores padding.
    """
    rounding_error = fake_quantize(source.samples, affine) - source.samples
    rounded_mean = source.mean + rounding_error.mean(axis=0)
    before = _mean_output(node, weights.kernel.astype(np.float64), source.mean)
    after = _mean_output(node, rounded_kernel(weights.kernel, scales), rounded_mean)
    return (before - after).astype(np.float32)


def rounded_kernel(kernel: Float32Array, scales: Float32Array) -> Float64Array:
    """A kernel rounded to the levels of its channels."""
    return round_kernel(kernel, scales) * scales.astype(np.float64)[:, None, None, None]


def image_correction(weights: LayerWeights, offset: Float32Array, affine: Affine) -> Float32Array:
    """Bias shift [out] for the difference between the image's zero point and the channel means.

    Exact except at the border, where the padding is the zero point instead of the mean.
    """
    rest = affine.zero_point - offset.astype(np.float64).ravel()
    return np.asarray((weights.kernel.sum(axis=(2, 3)) * rest).sum(axis=1), np.float32)


def _mean_output(node: Node, kernel: Float64Array, mean: Float32Array) -> Float64Array:
    """Mean output [out] of a convolution without bias, given the mean of its input."""
    summed = kernel.sum(axis=(2, 3))
    if node.layer.kind == "depthwise":
        return np.asarray(summed[:, 0] * mean)
    return np.asarray(summed @ mean)
