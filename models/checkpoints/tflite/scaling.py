"""Scaling of pixels to -1 ... 1 that is part of a `.tflite` file, as two operators in front.

Keras' `preprocess_input` or `Rescaling(1 / 127.5, -1)` becomes MUL and ADD (or SUB). Every network
of the family is read as one that takes scaled pixels, so the two are checked and left out.
"""

import numpy as np

from app.arrays import Float64Array
from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Graph, Operator, Tensor
from models.checkpoints.tflite.integers import is_quantized

FACTOR, SHIFT = 1 / 127.5, -1.0
TOLERANCE = 0.01  # of a constant in 8 bits
PIXELS = np.array([0.0, 255.0])


def without_scaling(graph: Graph, operators: list[Operator], pixels: int) -> int:
    """Take the scaling of the tensor `pixels` from the operators; return the scaled tensor.

    Raises:
        CheckpointError: it is another scaling than that to -1 ... 1.
    """
    if not operators or operators[0].kind != "MUL":
        return pixels
    if len(operators) < 2 or operators[1].kind not in ("ADD", "SUB"):
        raise CheckpointError("multiplies its pixels and adds nothing")
    scaled, shifted = operators[:2]
    factor = _constant(graph, scaled, pixels)
    shift = _constant(graph, shifted, scaled.outputs[0])
    if shifted.kind == "SUB":
        shift = -shift
    if not np.isclose(factor, FACTOR, rtol=TOLERANCE) or not np.isclose(shift, SHIFT, TOLERANCE):
        raise CheckpointError(
            f"scales its pixels as {factor:g} * pixel {shift:+g}, not to -1 ... 1; convert it "
            "without its own scaling and say that with --mean and --std"
        )
    _check_levels(graph.tensors[shifted.outputs[0]])
    del operators[:2]
    return shifted.outputs[0]


def _constant(graph: Graph, operator: Operator, source: int) -> float:
    """The one number that an operator takes besides `source`."""
    others = [graph.tensors[index] for index in operator.inputs if index != source]
    plain = operator.activation == "NONE" and operator.inputs[0] == source
    if len(operator.inputs) != 2 or len(others) != 1 or not plain:
        raise CheckpointError(f"its first {operator.kind} is no scaling of pixels")
    values = _reals(others[0])
    if values.size != 1:
        raise CheckpointError(f"its first {operator.kind} has {values.size} numbers, not one")
    return float(values.ravel()[0])


def _reals(tensor: Tensor) -> Float64Array:
    if tensor.values is None or len(tensor.scales) > 1:
        raise CheckpointError(f"{tensor.name!r} is no constant")
    if not tensor.scales:
        return tensor.values.astype(np.float64)
    [scale], [zero_point] = tensor.scales, tensor.zero_points
    return (tensor.values.astype(np.float64) - zero_point) * scale


def _check_levels(scaled: Tensor) -> None:
    """Quantised, a scaled pixel has to be the level of its own number, give or take one."""
    if not is_quantized(scaled) or not scaled.scales:
        return
    scale, lowest = scaled.scales[0], float(np.iinfo(scaled.dtype).min)
    stands_for = scale * (PIXELS + lowest - scaled.zero_points[0])
    if (abs(stands_for - (FACTOR * PIXELS + SHIFT)) > scale).any():
        raise CheckpointError(
            f"{scaled.name!r} ranges from {stands_for[0]:g} to {stands_for[1]:g}, not -1 ... 1"
        )
