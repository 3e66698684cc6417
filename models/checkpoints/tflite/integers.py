"""Quantised `.tflite` files, of both generations, in the one form that is exported.

uint8    2018's: activations and weights uint8 with one scale and zero point a tensor
int8     today's converter: activations int8 with one scale and zero point a tensor, weights int8
         with a scale for each output channel and no zero point (TensorFlow Lite 8-bit quantization
         specification)

Activations become uint8 and kernels int8. Moving values and zero point by 128 changes nothing that
they stand for, so both generations are kept exactly. In both a bias is int32 with zero point 0 and
the scale of the input times that of the kernel.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.arrays import Float32Array
from models.checkpoints.checkpoint import (
    Affine,
    Checkpoint,
    CheckpointError,
    LayerWeights,
    Quantization,
    QuantizedLayer,
)
from models.checkpoints.tflite.graph import Graph, Operator, Tensor
from models.checkpoints.tflite.kernels import KERNEL_AXES, kernel_and_bias, to_oihw, values_of
from models.network.network import Network

SHIFT = 128
SCALE_TOLERANCE = 1e-5
RELU6_TOLERANCE = 1e-3


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor is of one of the two integer types of activations."""
    return tensor.dtype in (np.uint8, np.int8)


def quantized(
    graph: Graph,
    network: Network,
    operators: Mapping[str, Operator],
    outputs: Mapping[str, int],
) -> Checkpoint:
    """Integers, and the floats that they stand for.

    Raises:
        CheckpointError: types or scales are of neither generation.
    """
    activations = {name: _affine(graph.tensors[index]) for name, index in outputs.items()}
    for node in network.nodes:
        if getattr(node.layer, "activation", None) == "relu6":
            _check_clamp(graph.tensors[outputs[node.name]], activations[node.name])
    layers, integers = {}, {}
    for name, operator in operators.items():
        kernel, bias = kernel_and_bias(graph, name, operator)
        source = _affine(graph.tensors[operator.inputs[0]])
        integers[name] = _layer(kernel, bias, operator, source)
        layers[name] = _floats(integers[name], source)
    return Checkpoint(layers, Quantization(integers, activations))


def _layer(
    kernel: Tensor, bias: Tensor | None, operator: Operator, source: Affine
) -> QuantizedLayer:
    stored = to_oihw(kernel, operator)
    scales = np.array(kernel.scales, np.float32)
    zero_points = np.array(kernel.zero_points, np.int64)
    if kernel.dtype == np.uint8:
        _check_one_scale(kernel)
        stored = stored.astype(np.int16) - SHIFT
        zero_points = zero_points - SHIFT
    else:
        _check_channel_scales(kernel, operator, len(stored))
    return QuantizedLayer(
        kernel=stored.astype(np.int8),
        scales=scales,
        zero_points=zero_points.astype(np.int8),
        bias=_bias(bias, source.scale * scales, len(stored)),
    )


def _floats(layer: QuantizedLayer, source: Affine) -> LayerWeights:
    scales = np.broadcast_to(layer.scales.astype(np.float64), layer.bias.shape)
    zero_points = np.broadcast_to(layer.zero_points.astype(np.int16), layer.bias.shape)
    kernel = layer.kernel - zero_points[:, None, None, None]
    return LayerWeights(
        kernel=(kernel * scales[:, None, None, None]).astype(np.float32),
        bias=(layer.bias * (source.scale * scales)).astype(np.float32),
    )


def _affine(tensor: Tensor) -> Affine:
    """Scale and zero point of an activation, as if it were uint8."""
    _check_one_scale(tensor)
    shift = SHIFT if tensor.dtype == np.int8 else 0
    return Affine(tensor.scales[0], tensor.zero_points[0] + shift)


def _check_one_scale(tensor: Tensor) -> None:
    if not is_quantized(tensor) or len(tensor.scales) != 1:
        raise CheckpointError(f"{tensor.name!r} is not uint8 or int8 with one scale")
    limits = np.iinfo(tensor.dtype)
    [zero_point] = tensor.zero_points
    if not limits.min <= zero_point <= limits.max:
        raise CheckpointError(f"{tensor.name!r} has zero point {zero_point}")


def _check_channel_scales(kernel: Tensor, operator: Operator, channels: int) -> None:
    if kernel.dtype != np.int8 or len(kernel.scales) not in (1, channels):
        raise CheckpointError(f"{kernel.name!r} is not int8 with a scale for each output channel")
    axis = KERNEL_AXES[operator.kind][0]
    if len(kernel.scales) > 1 and kernel.axis != axis:
        raise CheckpointError(
            f"{kernel.name!r} has its scales along axis {kernel.axis}, not {axis}"
        )
    if any(kernel.zero_points):
        raise CheckpointError(f"{kernel.name!r} is int8 and has a zero point that is not 0")


def _bias(bias: Tensor | None, scales: Float32Array, channels: int) -> NDArray[np.int32]:
    """int32 [channels], checked to have the scales that it has to have."""
    if bias is None:
        return np.zeros(channels, np.int32)
    if bias.dtype != np.int32 or any(bias.zero_points) or not bias.scales:
        raise CheckpointError(f"{bias.name!r} is not int32 with zero point 0")
    if len(bias.scales) not in (1, len(scales)):
        raise CheckpointError(f"{bias.name!r} has {len(bias.scales)} scales, not {len(scales)}")
    if not np.allclose(bias.scales, scales, rtol=SCALE_TOLERANCE, atol=0):
        found, wanted = bias.scales[0], scales[0]
        raise CheckpointError(f"{bias.name!r} has scale {found:g}, not {wanted:g}")
    return values_of(bias).astype(np.int32)


def _check_clamp(tensor: Tensor, affine: Affine) -> None:
    """ReLU6 is nowhere but in the range of its output: from 0, and to 6 at most."""
    highest = affine.scale * 255
    if affine.zero_point != 0 or highest > 6 * (1 + RELU6_TOLERANCE):
        lowest = -affine.scale * affine.zero_point
        raise CheckpointError(
            f"{tensor.name!r} ranges from {lowest:g} to {highest + lowest:g} behind a ReLU6"
        )
