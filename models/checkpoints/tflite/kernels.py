"""Kernels and biases of a `.tflite` file, as ONNX wants them."""

from dataclasses import replace

import numpy as np

from models.checkpoints.checkpoint import Array, CheckpointError
from models.checkpoints.tflite.graph import Graph, Operator, Tensor

# axes of each operator's kernel in the order output, input, height, width
KERNEL_AXES = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (0,)}


def kernel_and_bias(graph: Graph, name: str, operator: Operator) -> tuple[Tensor, Tensor | None]:
    """Kernel and bias of an operator.

    TensorFlow's converter leaves out the bias of a fully connected layer where it is zero.

    Raises:
        CheckpointError: it has no kernel, or no bias where it needs one.
    """
    inputs = operator.inputs
    if operator.kind == "FULLY_CONNECTED" and len(inputs) == 3 and inputs[2] < 0 <= inputs[1]:
        return graph.tensors[inputs[1]], None
    if len(inputs) != 3 or min(inputs) < 0:
        raise CheckpointError(f"{name} does not have a kernel and a bias")
    kernel, bias = (graph.tensors[index] for index in inputs[1:])
    if len(bias.shape) != 1:
        raise CheckpointError(f"{bias.name!r} has shape {bias.shape}")
    return kernel, bias


def to_oihw(kernel: Tensor, operator: Operator) -> Array:
    """Values as [out, in / groups, height, width]; depthwise ones come as [1, h, w, channels]."""
    values = values_of(kernel)
    if operator.kind == "FULLY_CONNECTED" and values.ndim == 2:
        return values[:, :, None, None]
    axes = KERNEL_AXES[operator.kind]
    if values.ndim != 4 or len(axes) != 4:
        raise CheckpointError(f"{kernel.name!r} has shape {kernel.shape}")
    return np.ascontiguousarray(values.transpose(axes))


def as_floats(tensor: Tensor) -> Tensor:
    """A weight of a float network, as float32.

    The converter's dynamic range quantisation keeps kernels as int8, which stand for floats by one
    scale or by one for each index of an axis.

    Raises:
        CheckpointError: it is of another type.
    """
    if tensor.dtype == np.float32:
        return tensor
    if tensor.dtype != np.int8 or not tensor.scales or any(tensor.zero_points):
        raise CheckpointError(f"{tensor.name!r} is {tensor.dtype} in a float32 file")
    scales = np.array(tensor.scales, np.float32)
    if len(scales) > 1:
        if not 0 <= tensor.axis < len(tensor.shape) or len(scales) != tensor.shape[tensor.axis]:
            raise CheckpointError(f"{tensor.name!r} has {len(scales)} scales for {tensor.shape}")
        scales = scales.reshape([-1 if at == tensor.axis else 1 for at in range(len(tensor.shape))])
    with np.errstate(over="ignore"):  # a weight that is not finite is refused with its layer
        values = values_of(tensor) * scales
    return replace(tensor, dtype=np.dtype(np.float32), values=values)


def values_of(tensor: Tensor) -> Array:
    """What a constant holds.

    Raises:
        CheckpointError: it is not a constant.
    """
    if tensor.values is None:
        raise CheckpointError(f"{tensor.name!r} has no values")
    return tensor.values
