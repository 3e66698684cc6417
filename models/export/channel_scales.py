"""A publisher's integers in the form of the fast kernels: a scale for each channel, zero points 0.

The files of 2018 have one scale and one zero point for a whole kernel. onnxruntime has no depthwise
kernel for such weights, and its other kernels subtract the zero point again for each image.
"""

from dataclasses import replace

import numpy as np

from models.checkpoints.checkpoint import Quantization, QuantizedLayer

MAX = 127


def with_channel_scales(quantization: Quantization) -> Quantization:
    """The same layers with zero points 0.

    A channel whose weights fit keeps its integers, the others are rounded to a wider step.
    """
    layers = {name: _with_channel_scales(layer) for name, layer in quantization.layers.items()}
    return replace(quantization, layers=layers)


def _with_channel_scales(layer: QuantizedLayer) -> QuantizedLayer:
    channels = len(layer.kernel)
    zero_points = np.broadcast_to(layer.zero_points.astype(np.int16), channels)
    kernel = layer.kernel - zero_points[:, None, None, None]
    step = np.maximum(np.abs(kernel).reshape(channels, -1).max(axis=1) / MAX, 1)
    return QuantizedLayer(
        kernel=np.rint(kernel / step[:, None, None, None]).astype(np.int8),
        scales=(np.broadcast_to(layer.scales, channels) * step).astype(np.float32),
        zero_points=np.zeros(channels, np.int8),
        bias=np.rint(layer.bias / step).astype(np.int32),
    )
