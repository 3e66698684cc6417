"""From float weights and the ranges of activations to integers."""

from collections.abc import Mapping

import numpy as np

from app.arrays import Float32Array, Float64Array
from models.checkpoints.checkpoint import Affine, LayerWeights, QuantizedLayer
from models.network.network import INPUT, Network, Node
from models.quantization.calibration import Activations
from models.quantization.ranges import fake_quantize

WEIGHT_LEVELS = 127
# Biases share their accumulator with the products.
LARGEST_BIAS = 1 << 30
# What a pixel minus the offset of the mean is quantised to: the pixel itself.
PIXEL = 1.0


def image_affine(offset: Float32Array) -> Affine:
    """The one zero point for the three channels of the image, nearest to their means [3]."""
    return Affine(PIXEL, round(float(offset.mean())))


def quantize_layer(
    weights: LayerWeights, source: Affine, moved: Float32Array, per_channel: bool = True
) -> QuantizedLayer:
    """Round kernel and bias of a layer that reads a tensor of levels `source`.

    `moved` [out] is added to the bias. A channel with next to no weights and a bias gets a scale
    that is large enough for its bias to fit.
    """
    kernel, bias = weights.kernel.astype(np.float64), weights.bias.astype(np.float64) + moved
    reach = np.abs(kernel).max(axis=(1, 2, 3))
    if not per_channel:
        reach = np.full_like(reach, reach.max())
    smallest = np.maximum(np.abs(bias) / (source.scale * LARGEST_BIAS), np.finfo(np.float32).tiny)
    scales = np.maximum(reach / WEIGHT_LEVELS, smallest).astype(np.float32)
    wide = scales.astype(np.float64)
    rounded = np.round(kernel / wide[:, None, None, None])
    return QuantizedLayer(
        kernel=np.clip(rounded, -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8),
        scales=scales,
        zero_points=np.zeros(len(scales), np.int8),
        bias=np.round(bias / (source.scale * wide)).astype(np.int32),
    )


def dequantized_kernel(layer: QuantizedLayer) -> Float64Array:
    """The kernel that the integers stand for."""
    return layer.kernel * layer.scales.astype(np.float64)[:, None, None, None]


def bias_correction(
    node: Node, weights: LayerWeights, layer: QuantizedLayer, seen: Activations, levels: Affine
) -> Float32Array:
    """What rounding the weights and the input adds to each channel on average, taken back: [out].

    Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with the means that were seen. Padding is
    left out of account.
    """
    rounded_mean = seen.mean + (fake_quantize(seen.samples, levels) - seen.samples).mean(axis=0)
    before = _mean_output(node, weights.kernel.astype(np.float64), seen.mean)
    after = _mean_output(node, dequantized_kernel(layer), rounded_mean)
    return (before - after).astype(np.float32)


def image_correction(weights: LayerWeights, offset: Float32Array, levels: Affine) -> Float32Array:
    """What the shared zero point of the image leaves of the channels' means, as a bias: [out].

    Exact but for the border, where the padding now is the zero point instead of the mean.
    """
    rest = levels.zero_point - offset.astype(np.float64).ravel()
    return np.asarray((weights.kernel.sum(axis=(2, 3)) * rest).sum(axis=1), np.float32)


def _mean_output(node: Node, kernel: Float64Array, mean: Float32Array) -> Float64Array:
    """Mean of a convolution's output without its bias, [out], by its input's means."""
    summed = kernel.sum(axis=(2, 3))
    if node.layer.kind == "depthwise":
        return np.asarray(summed[:, 0] * mean)
    return np.asarray(summed @ mean)


def quantize_weights(
    network: Network,
    layers: Mapping[str, LayerWeights],
    activations: Mapping[str, Activations],
    levels: Mapping[str, Affine],
    offset: Float32Array,
    *,
    per_channel: bool,
    correct_bias: bool,
) -> dict[str, QuantizedLayer]:
    """Every layer with weights in integers; `offset` [3] is the pixel value that becomes zero."""
    rounded = {}
    for node in network.nodes:
        if node.name not in layers:
            continue
        weights, [source] = layers[node.name], node.inputs
        moved = np.zeros_like(weights.bias)
        if source == INPUT:
            moved = image_correction(weights, offset, levels[INPUT])
        layer = quantize_layer(weights, levels[source], moved, per_channel)
        if correct_bias and source != INPUT:
            moved = moved + bias_correction(
                node, weights, layer, activations[source], levels[source]
            )
            layer = quantize_layer(weights, levels[source], moved, per_channel)
        rounded[node.name] = layer
    return rounded
