"""Rounding float weights and biases to integers."""

import numpy as np

from app.arrays import Float32Array, Float64Array
from models.checkpoints.checkpoint import Affine, LayerWeights, QuantizedLayer
from models.network.network import Node
from models.quantization.calibration import Activations
from models.quantization.ranges import fake_quantize

WEIGHT_LEVELS = 127
# A bias shares its int32 accumulator with the products.
MAX_BIAS = 1 << 30


def image_affine(offset: Float32Array) -> Affine:
    """The affine of the image; its zero point is the rounded mean of `offset` [3]."""
    return Affine(1.0, round(float(offset.mean())))  # pixels are integers already


def quantize_layer(
    weights: LayerWeights, source: Affine, bias_shift: Float32Array, per_channel: bool = True
) -> QuantizedLayer:
    """Round kernel and bias of a layer whose input has the affine `source`.

    `bias_shift` [out] is added to the bias. A channel with a bias and nearly zero weights gets a
    scale that is large enough for the bias.
    """
    kernel, bias = weights.kernel.astype(np.float64), weights.bias.astype(np.float64) + bias_shift
    magnitude = np.abs(kernel).max(axis=(1, 2, 3))
    if not per_channel:
        magnitude = np.full_like(magnitude, magnitude.max())
    min_scales = np.maximum(np.abs(bias) / (source.scale * MAX_BIAS), np.finfo(np.float32).tiny)
    scales = np.maximum(magnitude / WEIGHT_LEVELS, min_scales).astype(np.float32)
    wide = scales.astype(np.float64)
    rounded = np.round(kernel / wide[:, None, None, None])
    return QuantizedLayer(
        kernel=np.clip(rounded, -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8),
        scales=scales,
        zero_points=np.zeros(len(scales), np.int8),
        bias=np.round(bias / (source.scale * wide)).astype(np.int32),
    )


def dequantized_kernel(layer: QuantizedLayer) -> Float64Array:
    return layer.kernel * layer.scales.astype(np.float64)[:, None, None, None]


def bias_correction(
    node: Node, weights: LayerWeights, layer: QuantizedLayer, source: Activations, affine: Affine
) -> Float32Array:
    """Bias shift [out] that compensates the mean error of rounding the weights and the input.

    Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with calibrated means. Ignores padding.
    """
    rounding_error = fake_quantize(source.samples, affine) - source.samples
    rounded_mean = source.mean + rounding_error.mean(axis=0)
    before = _mean_output(node, weights.kernel.astype(np.float64), source.mean)
    after = _mean_output(node, dequantized_kernel(layer), rounded_mean)
    return (before - after).astype(np.float32)


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
