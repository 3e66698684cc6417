"""Operators that move numbers and compute none: reshaping, padding, joining."""

from math import prod

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Operator
from models.translation.tflite.writer import TO_NCHW, Writer, check_same_scale, reals

ONNX_AXIS = {0: 0, 1: 2, 2: 3, 3: 1}  # of [N, C, H, W] for one of [N, H, W, C]


def reshape(writer: Writer, operator: Operator) -> None:
    """RESHAPE, SQUEEZE or EXPAND_DIMS: by the shape that the file gives the result."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    before, after = writer.shape(source), writer.shape(target)
    if prod(before) != prod(after) or not before or not after:
        raise CheckpointError(f"a {operator.kind} makes {after} of {before}")
    if writer.is_constant(source):
        writer.fold_reals(target, reals(writer.tensors[source]).reshape(after))
        return
    if before == after:
        writer.finish(target, writer.value(source))
        return
    point = len(before) == 4 and before[1:3] == (1, 1)
    value = writer.value(source) if point else writer.nhwc(source)
    if len(after) == 4 and after[1:3] == (1, 1):
        value = _reshaped(writer, target, value, [after[3], 1, 1])
    else:
        value = _reshaped(writer, target, value, list(after[1:]))
        if len(after) == 4:
            value = writer.emit("Transpose", [value], target, perm=TO_NCHW)
    writer.finish(target, value)


def transpose(writer: Writer, operator: Operator) -> None:
    """Another order of the axes of the file."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    order = [int(axis) for axis in writer.integers(operator.inputs[1]).reshape(-1)]
    if sorted(order) != list(range(len(writer.shape(source)))) or order[:1] != [0]:
        raise CheckpointError(f"a TRANSPOSE has the order {order}")
    if writer.is_constant(source):
        writer.fold_reals(target, reals(writer.tensors[source]).transpose(order))
        return
    value = writer.emit("Transpose", [writer.nhwc(source)], target, perm=order)
    if len(order) == 4:
        value = writer.emit("Transpose", [value], target, perm=TO_NCHW)
    writer.finish(target, value)


def pad(writer: Writer, operator: Operator) -> None:
    """PAD, PADV2 or MIRROR_PAD of a map."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    amounts = writer.integers(operator.inputs[1])
    if len(writer.shape(source)) != 4 or amounts.shape != (4, 2) or (amounts < 0).any():
        raise CheckpointError(f"a {operator.kind} has the amounts {amounts.tolist()}")
    if operator.kind == "MIRROR_PAD":
        raise CheckpointError("a MIRROR_PAD repeats the edge, which MobileNets do not have")
    front, behind = amounts[list(TO_NCHW)].T.tolist()
    parts = [writer.value(source), writer.constant("pads", np.array([*front, *behind], np.int64))]
    if operator.kind == "PADV2":
        with_value = reals(writer.tensors[operator.inputs[2]]).reshape(-1)
        parts.append(writer.constant("pad", np.float32(with_value[0])))
    writer.finish(target, writer.emit("Pad", parts, target))


def concatenation(writer: Writer, operator: Operator) -> None:
    """Several values behind each other along an axis."""
    target = operator.outputs[0]
    rank = len(writer.shape(target))
    axis = operator.axis % rank
    if axis == 0:
        raise CheckpointError("a CONCATENATION makes a batch")
    if operator.activation != "NONE":  # LiteRT rejects it, or leaves it out in XNNPACK
        raise CheckpointError(f"a CONCATENATION has the activation {operator.activation}")
    parts = [writer.operand(index, target) for index in operator.inputs]
    along = ONNX_AXIS[axis] if rank == 4 else axis
    value = writer.emit("Concat", parts, target, axis=along)
    writer.finish(target, value)


def _reshaped(writer: Writer, target: int, value: str, shape: list[int]) -> str:
    to = writer.constant("shape", np.array([-1, *shape], np.int64))
    return writer.emit("Reshape", [value, to], target)
