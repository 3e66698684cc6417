"""Scaling of pixels that a graph does itself, in front of its first layer."""

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from app.arrays import Float64Array
from models.export.graph import InputScaling

ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
PASSING = {
    "Cast", "Transpose", "Identity", "QuantizeLinear", "DequantizeLinear", "Resize", "Slice",
}  # fmt: skip
PIXELS = InputScaling((0.0,) * 3, (1 / 255,) * 3)  # a pixel as it is
UNIT = InputScaling((0.0,) * 3, (1.0,) * 3)  # pixel / 255
WIDEST = 20  # of any usual scaling: ImageNet's deviation makes 4.5 of 0 ... 1


def own_scaling(graph: onnx.GraphProto, image: str) -> InputScaling | None:
    """What the graph has to be fed so that its own arithmetic ends at a usual range.

    None where it does no arithmetic, or some that fits neither pixels nor pixel / 255.
    """
    factor = _factor(graph, image)
    if factor is None:
        return None
    slope = float(np.abs(factor).max())
    if 0 < slope * 255 <= WIDEST:
        return PIXELS
    return UNIT if 0 < slope <= WIDEST else None


def _factor(graph: onnx.GraphProto, image: str) -> Float64Array | None:
    """What the arithmetic multiplies by; None where there is none."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    value, found = image, False
    factor: Float64Array = np.ones(1)
    while (reader := _only_reader(graph, value)) is not None:
        node = reader
        if node.op_type in ARITHMETIC:
            others = [name for name in node.input if name != value]
            if len(others) != 1 or others[0] not in constants:
                break
            operand = numpy_helper.to_array(constants[others[0]]).astype(np.float64)
            if operand.size > 4 or (node.op_type == "Div" and node.input[0] != value):
                break
            if node.op_type in ("Mul", "Div"):
                by = operand.reshape(-1)
                factor = factor * by if node.op_type == "Mul" else factor / by
            found = True
        elif node.op_type not in PASSING:
            break
        value = node.output[0]
    return factor if found else None


def _only_reader(graph: onnx.GraphProto, value: str) -> NodeProto | None:
    readers = [node for node in graph.node if value in node.input]
    return readers[0] if len(readers) == 1 and readers[0].input else None
