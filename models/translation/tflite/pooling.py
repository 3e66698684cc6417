"""Pools, and means over axes."""

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Operator
from models.translation.tflite.convolutions import pads
from models.translation.tflite.writer import SHIFT, Writer, affine_of, check_same_scale, is_integer

POOLS = {
    "AVERAGE_POOL_2D": ("AveragePool", "GlobalAveragePool"),
    "MAX_POOL_2D": ("MaxPool", "GlobalMaxPool"),
}
REDUCTIONS = {
    "MEAN": ("ReduceMean", "GlobalAveragePool"),
    "REDUCE_MAX": ("ReduceMax", "GlobalMaxPool"),
    "SUM": ("ReduceSum", "ReduceSum"),
}
SPATIAL = (1, 2)


def pool(writer: Writer, operator: Operator) -> None:
    """Write a pool over windows, or over the whole map where there is one window."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    sides = writer.shape(source)[1:3]
    if len(writer.shape(source)) != 4:
        raise CheckpointError(f"a {operator.kind} reads {writer.shape(source)}")
    windowed, whole = POOLS[operator.kind]
    if operator.window == sides and writer.shape(target)[1:3] == (1, 1):
        if any(pads(operator, sides, operator.window)):
            raise CheckpointError(f"a {operator.kind} pads a window as large as its map")
        value = writer.emit(whole, [writer.value(source)], target)
    else:
        value = writer.emit(
            windowed,
            [writer.value(source)],
            target,
            kernel_shape=list(operator.window),
            strides=list(operator.stride),
            pads=pads(operator, sides, operator.window),
        )
    writer.finish(target, _halves_as_tflite(writer, operator, value), operator.activation)


def reduction(writer: Writer, operator: Operator) -> None:
    """Write a mean or a maximum over axes."""
    source, target = operator.inputs[0], operator.outputs[0]
    rank = len(writer.shape(source))
    axes = sorted({int(axis) % rank for axis in writer.integers(operator.inputs[1]).reshape(-1)})
    if 0 in axes:
        raise CheckpointError(f"a {operator.kind} mixes the images of a batch")
    partial, whole = REDUCTIONS[operator.kind]
    if rank == 4 and tuple(axes) == SPATIAL and operator.kind != "SUM":
        value = writer.emit(whole, [writer.value(source)], target)
        if len(writer.shape(target)) == 2:
            value = writer.emit("Flatten", [value], target, axis=1)
        elif len(writer.shape(target)) != 4:
            raise CheckpointError(f"a {operator.kind} makes {writer.shape(target)}")
    else:
        keeps = len(writer.shape(target)) == rank
        parts, options = [writer.nhwc(source)], {"axes": axes}
        if operator.kind == "SUM":  # its axes have become an input before those of the others
            parts, options = [*parts, writer.constant("axes", np.array(axes, np.int64))], {}
        value = writer.emit(partial, parts, target, keepdims=int(keeps), **options)
        if len(writer.shape(target)) == 4:
            value = writer.emit("Transpose", [value], target, perm=[0, 3, 1, 2])
    writer.finish(target, _halves_as_tflite(writer, operator, value))


def _halves_as_tflite(writer: Writer, operator: Operator, value: str) -> str:
    """TFLite rounds halves of a mean up, QuantizeLinear to even.

    Small maps have many exact halves, so that much less than a level is added. An AVERAGE_POOL_2D
    in int8 rounds them away from the stored 0 instead.
    """
    target = operator.outputs[0]
    tensor = writer.tensors[target]
    if not is_integer(tensor):
        return value
    scale, zero_point = affine_of(tensor)
    nudge = writer.constant("nudge", np.float32(scale / 1024))
    if operator.kind == "AVERAGE_POOL_2D" and tensor.dtype == np.int8:
        stored_zero = writer.constant("stored_zero", np.float32((SHIFT - zero_point) * scale))
        side = writer.emit("Sub", [value, stored_zero], target)
        side = writer.emit("Sign", [side], target)
        nudge = writer.emit("Mul", [side, nudge], target)
    return writer.emit("Add", [value, nudge], target)
