"""A network run in plain NumPy, layer by layer: what an exported graph has to give."""

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.checkpoints.checkpoint import LayerWeights
from models.network.layers import Conv, Layer, pads
from models.network.network import INPUT, Network

Array = NDArray[np.float64]


def run(
    network: Network, weights: Mapping[str, LayerWeights], scaled_image: Array
) -> dict[str, Array]:
    """Output of every layer [N, C, H, W], by name, of an image that is scaled already."""
    values = {INPUT: scaled_image}
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        values[node.name] = _layer(node.layer, inputs, weights.get(node.name))
    return values


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _layer(layer: Layer, inputs: list[Array], weights: LayerWeights | None) -> Array:
    if isinstance(layer, Conv) and weights is not None:
        return _convolve(layer, inputs[0], weights)
    if weights is not None:
        matrix = weights.kernel[:, :, 0, 0].astype(np.float64)
        return (inputs[0][:, :, 0, 0] @ matrix.T + weights.bias)[:, :, None, None]
    if layer.kind == "add":
        return inputs[0] + inputs[1]
    assert layer.kind == "global_pool"
    return np.asarray(inputs[0].mean(axis=(2, 3), keepdims=True))


def _convolve(layer: Conv, image: Array, weights: LayerWeights) -> Array:
    borders = [pads(side, 3, layer.stride, layer.padding) for side in image.shape[2:]]
    if layer.kernel == (3, 3):
        image = np.pad(image, ((0, 0), (0, 0), *borders))
    windows = sliding_window_view(image, layer.kernel, axis=(2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride]
    kernel = weights.kernel.astype(np.float64)
    if layer.groups > 1:
        out = np.einsum("nchwyx,cyx->nchw", windows, kernel[:, 0], optimize=True)
    else:
        out = np.einsum("nchwyx,ocyx->nohw", windows, kernel, optimize=True)
    out += weights.bias[:, None, None]
    return np.asarray(np.clip(out, 0, 6) if layer.activation == "relu6" else out)
