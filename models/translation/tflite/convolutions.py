"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED."""

from math import prod

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import Array, CheckpointError
from models.checkpoints.tflite.graph import Operator, Tensor
from models.translation.tflite.writer import (
    SHIFT,
    TO_NHWC,
    Writer,
    affine_of,
    is_integer,
    reals,
)

# axes of the file's kernels in the order output, input, height, width
AXES = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (0, 1)}


def convolution(writer: Writer, operator: Operator) -> None:
    """Write a convolution with its bias, clamp and rounding.

    Raises:
        CheckpointError: the kernel does not go with what comes in.
    """
    source, target = operator.inputs[0], operator.outputs[0]
    kernel = _kernel(writer, operator)
    channels = writer.shape(source)[-1]
    if len(writer.shape(source)) != 4 or len(kernel.shape) != 4:
        raise CheckpointError(f"{kernel.name!r} has shape {kernel.shape}")
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    read = 1 if depthwise else kernel.shape[3]
    made = kernel.shape[3] if depthwise else kernel.shape[0]
    if channels % read or made % (channels // read):
        raise CheckpointError(f"{kernel.name!r} {kernel.shape} does not go with {channels} inputs")
    if depthwise and len(kernel.scales) == 1 and not is_integer(writer.tensors[source]):
        raise CheckpointError(
            f"multiplies floats by the depthwise {kernel.name!r}, which has one scale instead of "
            "one for each channel, so that LiteRT computes with numbers from behind it; convert "
            "the model again, with scales for each channel"
        )
    _check_kernel(writer.tensors[source], kernel)
    window = kernel.shape[1:3]
    value = writer.emit(
        "Conv",
        [writer.value(source), *_weights(writer, operator, kernel)],
        target,
        kernel_shape=list(window),
        strides=list(operator.stride),
        dilations=list(operator.dilation),
        pads=pads(operator, writer.shape(source)[1:3], window),
        group=channels // read,
    )
    writer.finish(target, value, operator.activation)


def fully_connected(writer: Writer, operator: Operator) -> None:
    """Write a dense layer of a vector an image, or of each place of a map, in the file's order.

    Raises:
        CheckpointError: the kernel does not go with what comes in.
    """
    source, target = operator.inputs[0], operator.outputs[0]
    kernel = _kernel(writer, operator)
    shape = writer.shape(source)
    units, width = kernel.shape if len(kernel.shape) == 2 else (0, 0)
    if width not in (prod(shape), shape[-1]) or (shape[0] != 1 and shape[-1] != width):
        raise CheckpointError(f"{kernel.name!r} {kernel.shape} does not go with {shape}")
    if prod(writer.shape(target)) * width != prod(shape) * units:
        raise CheckpointError(
            f"{kernel.name!r} {kernel.shape} does not make {writer.shape(target)}"
        )
    _check_kernel(writer.tensors[source], kernel)
    value = writer.value(source) if len(shape) == 2 else _flat(writer, source, width)
    value = writer.emit("Gemm", [value, *_weights(writer, operator, kernel)], target, transB=1)
    if len(writer.shape(target)) != 2:
        to = writer.constant("shape", np.array([-1, *writer.shape(target)[1:]], np.int64))
        value = writer.emit("Reshape", [value, to], target)
        if len(writer.shape(target)) == 4:
            value = writer.emit("Transpose", [value], target, perm=[0, 3, 1, 2])
    writer.finish(target, value, operator.activation)


def pads(operator: Operator, sides: tuple[int, ...], window: tuple[int, ...]) -> list[int]:
    """Amounts of zeros in front and behind, as ONNX orders them, for SAME and VALID.

    SAME gives ceil(side / stride) and puts the odd zero behind (tf.nn's "Notes on padding").
    """
    if operator.pads is not None:
        return list(operator.pads)
    if operator.padding == "VALID":
        return [0, 0, 0, 0]
    if operator.padding != "SAME":
        raise CheckpointError(f"a {operator.kind} has the padding {operator.padding}")
    front, behind = [], []
    for at in range(2):
        reach = (window[at] - 1) * operator.dilation[at] + 1
        steps = -(-sides[at] // operator.stride[at])
        total = max((steps - 1) * operator.stride[at] + reach - sides[at], 0)
        front.append(total // 2)
        behind.append(total - total // 2)
    return [*front, *behind]


def _check_kernel(source: Tensor, kernel: Tensor) -> None:
    """Reject a kernel of dynamic range whose bits runtimes read as int8."""
    if kernel.dtype == np.uint8 and not is_integer(source):
        raise CheckpointError(
            f"multiplies floats by {kernel.name!r}, which is uint8: converters of 2018 wrote such "
            "files; convert the model again"
        )


def _flat(writer: Writer, index: int, width: int) -> str:
    """Rows of `width` numbers: an image each, or a place each."""
    shape = writer.shape(index)
    value = writer.value(index)
    if len(shape) == 4 and shape[1:3] != (1, 1):
        value = writer.emit("Transpose", [value], index, perm=TO_NHWC)
    if width == prod(shape):
        flat = writer.emit("Flatten", [value], index, axis=1)
    else:
        rows = writer.constant("rows", np.array([-1, width], np.int64))
        flat = writer.emit("Reshape", [value, rows], index)
    # rounding again changes nothing, and lets onnxruntime compute in integers
    return writer.rounded(index, flat) if is_integer(writer.tensors[index]) else flat


def _kernel(writer: Writer, operator: Operator) -> Tensor:
    if len(operator.inputs) not in (2, 3) or not writer.is_constant(operator.inputs[1]):
        raise CheckpointError(f"a {operator.kind} has no constant kernel")
    return writer.tensors[operator.inputs[1]]


def _weights(writer: Writer, operator: Operator, kernel: Tensor) -> list[str]:
    """Names of kernel and bias: floats, or integers behind a DequantizeLinear each."""
    at = operator.inputs[2] if len(operator.inputs) == 3 else -1
    bias = writer.tensors[at] if at >= 0 else None
    axes = AXES[operator.kind]
    source = writer.tensors[operator.inputs[0]]
    if not (is_integer(source) and is_integer(kernel)):
        values = np.ascontiguousarray(reals(kernel).transpose(axes))
        return [
            writer.constant(f"{kernel.name}.weight", values),
            writer.constant(f"{kernel.name}.bias", _float_bias(bias, len(values))),
        ]
    stored, scales, zeros = _integers(kernel, axes)
    _check_scales(kernel, axes[0], len(stored))
    by = np.float32(affine_of(source)[0]) * scales
    whole = np.zeros(len(stored), np.int32) if bias is None else _integer_bias(bias, len(stored))
    axis: dict[str, int] = {"axis": 0} if scales.ndim else {}
    target = operator.outputs[0]
    kernel_parts = [
        writer.constant(f"{kernel.name}.weight", stored),
        writer.constant(f"{kernel.name}.weight_scale", scales),
        writer.constant(f"{kernel.name}.weight_zero", zeros),
    ]
    bias_parts = [
        writer.constant(f"{kernel.name}.bias", whole),
        writer.constant(f"{kernel.name}.bias_scale", by.astype(np.float32)),
    ]
    return [
        writer.emit("DequantizeLinear", kernel_parts, target, **axis),
        writer.emit("DequantizeLinear", bias_parts, target, **axis),
    ]


def _integers(kernel: Tensor, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Kernel as int8, scales and zero points; scalars where there is one for the tensor."""
    assert kernel.values is not None  # noqa: S101  it is a constant
    stored, zeros = kernel.values.astype(np.int16), np.array(kernel.zero_points, np.int16)
    if kernel.dtype == np.uint8:
        stored, zeros = stored - SHIFT, zeros - SHIFT
    elif zeros.any():
        raise CheckpointError(f"{kernel.name!r} is int8 and has a zero point that is not 0")
    shape = () if len(kernel.scales) == 1 else (-1,)
    return (
        np.ascontiguousarray(stored.transpose(axes)).astype(np.int8),
        np.array(kernel.scales, np.float32).reshape(shape),
        zeros.astype(np.int8).reshape(shape),
    )


def _check_scales(kernel: Tensor, axis: int, channels: int) -> None:
    if len(kernel.scales) == 1:
        return
    if len(kernel.scales) != channels or kernel.axis != axis:
        raise CheckpointError(f"{kernel.name!r} does not have one scale for each output channel")


def _float_bias(bias: Tensor | None, channels: int) -> Float32Array:
    values = np.zeros(channels, np.float32) if bias is None else reals(bias)
    if values.shape != (channels,):
        raise CheckpointError(f"the bias {values.shape} does not go with {channels} channels")
    return values


def _integer_bias(bias: Tensor, channels: int) -> Array:
    """int32; its scale is that of input times kernel, whatever the file says, as in TFLite."""
    if bias.values is None or bias.dtype != np.dtype("<i4") or any(bias.zero_points):
        raise CheckpointError(f"{bias.name!r} is not int32 with zero point 0")
    if bias.values.shape != (channels,):
        raise CheckpointError(f"the bias {bias.name!r} does not go with {channels} channels")
    return bias.values
