"""Operators that change the size of a map: resizing, and cutting out."""

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Operator
from models.translation.tflite.writer import (
    TO_NCHW,
    Writer,
    affine_of,
    check_same_scale,
    is_integer,
)

# ONNX's mode, and how it rounds the place of a pixel. TFLite takes the pixel in which the middle of
# the new one lies, or with aligned corners the nearest.
MODES = {"RESIZE_BILINEAR": "linear", "RESIZE_NEAREST_NEIGHBOR": "nearest"}
NEAREST = {
    "half_pixel": "round_prefer_ceil",
    "asymmetric": "floor",
    "align_corners": "round_prefer_ceil",
}


def resize(writer: Writer, operator: Operator) -> None:
    """Write a RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR to a constant size."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    height, width = writer.shape(target)[1:3]
    nearest = {"nearest_mode": NEAREST[operator.pixels]} if "NEAREST" in operator.kind else {}
    # ONNX takes no size for the batch alone, so a first Resize would fix it: scales leave it open
    sides = writer.shape(source)[1:3]
    scales = np.array([1, 1, height / sides[0], width / sides[1]], np.float32)
    if [int(s * np.float32(scales[2 + at])) for at, s in enumerate(sides)] != [height, width]:
        raise CheckpointError(f"a {operator.kind} from {sides} to {(height, width)} is not exact")
    inputs = [writer.value(source), "", writer.constant("scales", scales)]
    value = writer.emit(
        "Resize",
        inputs,
        target,
        mode=MODES[operator.kind],
        coordinate_transformation_mode=operator.pixels,
        **nearest,
    )
    if is_integer(writer.tensors[target]):  # XNNPACK adds a half and shifts
        nudge = writer.constant("nudge", np.float32(affine_of(writer.tensors[target])[0] / 1024))
        value = writer.emit("Add", [value, nudge], target)
    writer.finish(target, value)


def cut_out(writer: Writer, operator: Operator) -> None:
    """Write a SLICE or STRIDED_SLICE of each image."""
    source, target = operator.inputs[0], operator.outputs[0]
    check_same_scale(writer.tensors[source], writer.tensors[target], operator.kind)
    starts, ends, steps = bounds(
        operator, writer.shape(source), *(writer.integers(at) for at in operator.inputs[1:])
    )
    if (starts[0], ends[0], steps[0]) != (0, writer.shape(source)[0], 1):
        raise CheckpointError(f"a {operator.kind} takes images out of a batch")
    axes = list(range(1, len(starts)))
    parts = [
        writer.constant(name, np.array(values, np.int64))
        for name, values in (
            ("starts", starts[1:]), ("ends", ends[1:]), ("axes", axes), ("steps", steps[1:])
        )
    ]  # fmt: skip
    value = writer.emit("Slice", [writer.nhwc(source), *parts], target)
    if len(starts) == 4:
        value = writer.emit("Transpose", [value], target, perm=TO_NCHW)
    writer.finish(target, value)


def bounds(
    operator: Operator, shape: tuple[int, ...], *operands: np.ndarray
) -> tuple[list[int], list[int], list[int]]:
    """First, last (exclusive) and step of each axis.

    Raises:
        ValueError: they are not inside of the shape, or an axis goes or comes.
    """
    numbers = [operand.reshape(-1).tolist() for operand in operands]
    starts, others = numbers[:2]
    if operator.kind == "SLICE":
        ends = [
            side if size == -1 else start + size
            for side, start, size in zip(shape, starts, others, strict=True)
        ]
        steps = [1] * len(shape)
    else:
        first, last, rest = operator.masks
        if rest:
            raise ValueError("an axis goes or comes")
        steps = numbers[2]
        starts = [0 if first >> at & 1 else start for at, start in enumerate(starts)]
        ends = [
            side if last >> at & 1 else end
            for at, (side, end) in enumerate(zip(shape, others, strict=True))
        ]
        starts, ends = (
            [one % side if one < 0 else one for one, side in zip(some, shape, strict=True)]
            for some in (starts, ends)
        )
    for side, start, end, step in zip(shape, starts, ends, steps, strict=True):
        if not 0 <= start < end <= side or step < 1:
            raise ValueError("it reaches out of the map")
    return starts, ends, steps
