"""What every operator of a TFLite graph needs to become ONNX: constants, values, rounding.

An activation is known by the name of its *real* value. Of rank 4 it is laid out as ONNX wants it,
[N, C, H, W] where the file has [N, H, W, C]; of any other rank it is as in the file. A quantised
activation is rounded to uint8 by a pair of QuantizeLinear and DequantizeLinear with the file's own
scale; int8 is moved to uint8 by 128, which changes nothing that it stands for.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import Array, CheckpointError
from models.checkpoints.tflite.graph import Graph, Tensor
from models.export.graph import Tape

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
LEVELS = 255
SHIFT = 128  # from int8 to uint8
INTEGERS = (np.dtype("u1"), np.dtype("i1"))
RANGES: dict[str, tuple[float, float]] = {
    "NONE": (-inf, inf),
    "RELU": (0, inf),
    "RELU6": (0, 6),
    "RELU_N1_TO_1": (-1, 1),
}


def is_integer(tensor: Tensor) -> bool:
    """Whether a tensor is of one of the two integer types of activations."""
    return tensor.dtype in INTEGERS


def affine_of(tensor: Tensor) -> tuple[np.float32, int]:
    """Scale and zero point of a quantised activation, as if it were uint8.

    Raises:
        CheckpointError: it has none, or several.
    """
    if not is_integer(tensor) or len(tensor.scales) != 1:
        raise CheckpointError(f"{tensor.name!r} is not uint8 or int8 with one scale")
    zero_point = tensor.zero_points[0] + (SHIFT if tensor.dtype == np.int8 else 0)
    if not 0 <= zero_point <= LEVELS:
        raise CheckpointError(f"{tensor.name!r} has zero point {tensor.zero_points[0]}")
    return np.float32(tensor.scales[0]), zero_point


def reals(tensor: Tensor) -> Float32Array:
    """What a constant stands for, as float32 in the layout of the file.

    Raises:
        CheckpointError: it is no constant, or integers without a scale.
    """
    if tensor.values is None:
        raise CheckpointError(f"{tensor.name!r} has no values")
    if tensor.dtype.kind == "f":
        return tensor.values.astype(np.float32)
    if not tensor.scales:
        raise CheckpointError(f"{tensor.name!r} is {tensor.dtype} without a scale")
    scales, zeros = np.array(tensor.scales), np.array(tensor.zero_points)
    if len(scales) > 1:
        if not 0 <= tensor.axis < len(tensor.shape) or len(scales) != tensor.shape[tensor.axis]:
            raise CheckpointError(f"{tensor.name!r} has {len(scales)} scales for {tensor.shape}")
        along = [-1 if at == tensor.axis else 1 for at in range(len(tensor.shape))]
        scales, zeros = scales.reshape(along), zeros.reshape(along)
    made: Float32Array = ((tensor.values.astype(np.float64) - zeros) * scales).astype(np.float32)
    return made


def check_same_scale(source: Tensor, target: Tensor, kind: str) -> None:
    """Hold two activations against each other between which LiteRT moves integers as they are.

    Raises:
        CheckpointError: the integers stand for other numbers behind it.
    """
    if (source.scales, source.zero_points) != (target.scales, target.zero_points):
        raise CheckpointError(f"a {kind} has other scales behind it than in front")


class Writer:
    """Writes ONNX nodes for the tensors of one TFLite graph.

    `unrounded` are the tensors that only the answer is made of: their rounding would tell nothing.
    """

    def __init__(self, graph: Graph, unrounded: set[int]) -> None:
        self.tensors = list(graph.tensors)
        self.unrounded = unrounded
        self.tape = Tape()
        self.values: dict[int, str] = {}
        self.names: set[str] = set()

    def value(self, index: int) -> str:
        """The real value of an activation.

        Raises:
            CheckpointError: nothing made it.
        """
        if index not in self.values:
            name = self.tensors[index].name if index >= 0 else "an input that is absent"
            raise CheckpointError(f"{name!r} is read before it is made, or is a constant")
        return self.values[index]

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def is_constant(self, index: int) -> bool:
        return index >= 0 and self.tensors[index].values is not None

    def integers(self, index: int) -> Array:
        """An operand that is made of whole numbers, such as axes or amounts of padding.

        Raises:
            CheckpointError: it is not constant.
        """
        tensor = self.tensors[index]
        if tensor.values is None or tensor.dtype != np.dtype("<i4"):
            raise CheckpointError(f"{tensor.name!r} is not a constant of whole numbers")
        return tensor.values

    def fold_reals(self, index: int, values: Float32Array) -> None:
        """Put a constant in the place of a value that is made of constants alone.

        Raises:
            CheckpointError: it would have to be rounded, or has another shape.
        """
        tensor = self.tensors[index]
        if is_integer(tensor) or values.shape != tensor.shape:
            raise CheckpointError(f"{tensor.name!r} is a constant in another form")
        self.tensors[index] = replace(tensor, dtype=np.dtype("<f4"), scales=(), values=values)

    def name(self, index: int) -> str:
        """A name for the tensor that no other value has."""
        wanted = self.tensors[index].name or f"tensor_{index}"
        name = f"{wanted}.{index}" if wanted in self.names else wanted
        self.names.add(name)
        return name

    def emit(self, op: str, inputs: Sequence[str], output: int, **attributes: Any) -> str:
        """Add a node on the way to a tensor; return the name of its value."""
        name = f"{self.tensors[output].name or 'tensor'}.{op.lower()}.{len(self.tape.nodes)}"
        return self.tape.emit(op, list(inputs), name, **attributes)

    def constant(self, name: str, value: object) -> str:
        return self.tape.constant(f"{name}.{len(self.tape.constants)}", value)

    def nhwc(self, index: int) -> str:
        """The value in the layout of the file."""
        value = self.value(index)
        if len(self.shape(index)) != 4:
            return value
        return self.emit("Transpose", [value], index, perm=TO_NHWC)

    def finish(self, index: int, value: str, activation: str = "NONE") -> None:
        """Clamp and round a value as the tensor that it becomes says."""
        tensor = self.tensors[index]
        if activation not in RANGES:
            raise CheckpointError(f"{tensor.name!r} has the activation {activation}")
        lowest, highest = RANGES[activation]
        rounds = is_integer(tensor) and index not in self.unrounded
        if rounds:
            scale, zero_point = affine_of(tensor)
            # what the rounding cuts off need not be clamped, and onnxruntime fuses less of it
            lowest = -inf if -zero_point * scale >= lowest else lowest
            ends = (LEVELS - zero_point) * scale
            highest = inf if ends < highest + scale / 2 else highest
        value = self._clamped(index, value, lowest, highest)
        self.values[index] = self.rounded(index, value) if rounds else value

    def _clamped(self, index: int, value: str, lowest: float, highest: float) -> str:
        if lowest == -inf and highest == inf:
            return value
        if (lowest, highest) == (0, inf):
            return self.emit("Relu", [value], index)
        bounds = [
            "" if abs(bound) == inf else self.tape.constant(f"clamp_{bound:g}", np.float32(bound))
            for bound in (lowest, highest)
        ]
        return self.emit("Clip", [value, *bounds], index)

    def rounded(self, index: int, value: str) -> str:
        """The value on the levels of a quantised tensor."""
        scale, zero = self.affine(index)
        stored = self.emit("QuantizeLinear", [value, scale, zero], index)
        return self.emit("DequantizeLinear", [stored, scale, zero], index)

    def affine(self, index: int) -> tuple[str, str]:
        """Names of the constants that hold scale and zero point of a quantised activation."""
        scale, zero_point = affine_of(self.tensors[index])
        return self.constant("scale", scale), self.constant("zero", np.uint8(zero_point))

    def operand(self, index: int, like: int, nudge: float = 0) -> str:
        """An operand of element-wise arithmetic whose result has the rank of the tensor `like`.

        `nudge` is added to a constant.

        Raises:
            CheckpointError: it is an activation of another rank.
        """
        rank = len(self.shape(like))
        if not self.is_constant(index):
            if len(self.shape(index)) != rank:
                raise CheckpointError(f"{self.tensors[index].name!r} is stretched to rank {rank}")
            return self.value(index)
        values = reals(self.tensors[index]) + np.float32(nudge)
        if rank == 4:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(TO_NCHW)
        return self.constant("operand", np.ascontiguousarray(values))
