"""Shapes of activations as LiteRT works them out; what the file says of them is a last resort."""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import RESIZES, Graph, Operator, Tensor
from models.translation.tflite.resizing import bounds
from models.translation.tflite.shape_values import worked_out_value

Shape = tuple[int, ...]
CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}  # the axis of the output channels
POOLS = {"AVERAGE_POOL_2D", "MAX_POOL_2D"}
REDUCTIONS = {"MEAN", "REDUCE_MAX", "SUM"}
# MobileNetV2 of alpha 1.4 makes 9 million at 512 pixels. A resize of a few bytes may ask for more
# than there is memory.
MAX_VALUES = 100_000_000
BY_FILE = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


def worked_out(graph: Graph) -> Graph:
    """The graph with the shapes that its operators make.

    Raises:
        CheckpointError: an operator cannot run on what it is given.
    """
    tensors = list(graph.tensors)
    for operator in graph.operators:
        result = operator.outputs[0]
        inputs = [tensors[index] for index in operator.inputs if index >= 0]
        if tensors[result].values is not None:
            continue
        try:
            value = worked_out_value(operator, inputs, tensors[result])
            if value is not None:
                tensors[result] = replace(tensors[result], shape=value.shape, values=value)
                continue
            shape = _made(operator, inputs, tensors[result].shape)
        except (ValueError, IndexError, ArithmeticError) as error:
            raise CheckpointError(
                f"a {operator.kind} cannot run on {[one.shape for one in inputs]}"
            ) from error
        if min(shape, default=1) < 1:
            raise CheckpointError(f"a {operator.kind} makes {shape}")
        if prod(shape) > MAX_VALUES:
            raise CheckpointError(
                f"a {operator.kind} makes {shape}, more than {MAX_VALUES:,} numbers"
            )
        tensors[result] = replace(tensors[result], shape=shape)
    return replace(graph, tensors=tuple(tensors))


def _made(operator: Operator, inputs: list[Tensor], told: Shape) -> Shape:
    """The shape of a result; `told` is that of the file."""
    kind, source = operator.kind, inputs[0].shape
    if kind in CONVOLUTIONS:
        kernel = inputs[1].shape
        return _windowed(operator, source, kernel[1:3], kernel[CONVOLUTIONS[kind]])
    if kind in POOLS:
        return _windowed(operator, source, operator.window, source[3])
    if kind in REDUCTIONS:
        return _reduced(inputs, len(told) == len(source))
    if kind == "FULLY_CONNECTED":
        units, width = inputs[1].shape
        return (*source[:-1], units) if len(told) != 2 else (prod(source) // width, units)
    if kind in RESIZES:
        height, width = _integers(inputs[1])
        return (source[0], height, width, source[3])
    if kind in ("SLICE", "STRIDED_SLICE"):
        starts, ends, steps = bounds(
            operator, source, *(np.array(_integers(one)) for one in inputs[1:])
        )
        return tuple(
            -(-(end - start) // step) for start, end, step in zip(starts, ends, steps, strict=True)
        )
    if kind == "RESHAPE" and len(inputs) == 2 and inputs[1].values is not None:
        return _reshaped(source, _integers(inputs[1]))
    if kind in BY_FILE:
        flat = prod(told) != prod(source) and len(told) == 2
        return (source[0], prod(source[1:])) if flat else told
    if kind == "CONCATENATION":
        return _joined(inputs, operator.axis)
    return OTHERS.get(kind, _broadcast)(inputs)


def _windowed(operator: Operator, source: Shape, window: Shape, channels: int) -> Shape:
    sides = []
    top, left, bottom, right = operator.pads or (0,) * 4
    padded = (source[1] + top + bottom, source[2] + left + right)
    for side, size, stride, dilation in zip(
        padded, window, operator.stride, operator.dilation, strict=True
    ):
        if stride < 1 or dilation < 1:
            raise ValueError("a stride or a dilation is not positive")
        begun = side if operator.padding == "SAME" else side - (size - 1) * dilation
        sides.append(-(-begun // stride))
    return (source[0], *sides, channels)


def _reduced(inputs: list[Tensor], keeps: bool) -> Shape:
    source, axes = inputs[0].shape, _integers(inputs[1])
    gone = {axis % len(source) for axis in axes}
    kept = [1 if at in gone else side for at, side in enumerate(source) if keeps or at not in gone]
    return tuple(kept)


def _reshaped(source: Shape, wanted: list[int]) -> Shape:
    """The shape that a RESHAPE is given, its -1 filled in."""
    known = prod(size for size in wanted if size != -1)
    shape = tuple(prod(source) // known if size == -1 else size for size in wanted)
    if prod(shape) != prod(source) or wanted.count(-1) > 1:
        raise ValueError("not as many numbers")
    return shape


def _padded(inputs: list[Tensor]) -> Shape:
    amounts = np.array(_integers(inputs[1])).reshape(-1, 2).sum(axis=1).tolist()
    return tuple(side + more for side, more in zip(inputs[0].shape, amounts, strict=True))


def _transposed(inputs: list[Tensor]) -> Shape:
    return tuple(inputs[0].shape[axis] for axis in _integers(inputs[1]))


def _joined(inputs: list[Tensor], axis: int) -> Shape:
    shape = list(inputs[0].shape)
    axis %= len(shape)
    shape[axis] = sum(one.shape[axis] for one in inputs)
    for one in inputs:
        if [*one.shape[:axis], *one.shape[axis + 1 :]] != [*shape[:axis], *shape[axis + 1 :]]:
            raise ValueError("what is joined differs in another axis")
    return tuple(shape)


def _broadcast(inputs: list[Tensor]) -> Shape:
    return np.broadcast_shapes(*(one.shape for one in inputs))


def _integers(tensor: Tensor) -> list[int]:
    if tensor.values is None:
        raise ValueError("its numbers are no constants")
    numbers: list[int] = tensor.values.reshape(-1).tolist()
    return numbers


OTHERS: dict[str, Callable[[list[Tensor]], Shape]] = {
    "PAD": _padded,
    "PADV2": _padded,
    "MIRROR_PAD": _padded,
    "TRANSPOSE": _transposed,
}
