"""ONNX files that take and give integers, as the import knows them: pixels in, floats out.

tf2onnx leaves the ends of a quantised TFLite file as they are: int8 or uint8 into a
DequantizeLinear, and a QuantizeLinear at the end.
"""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SHIFT = 128  # from int8 to uint8
INTEGERS = {TensorProto.INT8, TensorProto.UINT8}
PROBABILITIES = {"Softmax", "Sigmoid"}


def with_float_scores(model: onnx.ModelProto) -> bool:
    """Give floats in the place of integers that a QuantizeLinear made; whether it did.

    Probabilities are given as they were before their rounding.
    """
    graph = model.graph
    if len(graph.output) != 1 or graph.output[0].type.tensor_type.elem_type not in INTEGERS:
        return False
    [output] = graph.output
    makers = {name: node for node in graph.node for name in node.output}
    last = makers.get(output.name)
    if last is None or last.op_type != "QuantizeLinear":
        return False
    source = makers.get(last.input[0])
    if source is not None and source.op_type in PROBABILITIES:
        output.name = last.input[0]
        graph.node.remove(last)
    else:
        name = f"{output.name}_floats"
        graph.node.append(
            helper.make_node("DequantizeLinear", [output.name, *last.input[1:]], [name], name)
        )
        output.name = name
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    return True


def with_pixels(model: onnx.ModelProto) -> bool:
    """Take uint8 in the place of int8, of which a pixel is 128 more; whether it did."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.INT8:
        return False
    readers = [node for node in graph.node if inputs[0].name in node.input]
    if not readers or not all(_moves(node, weights) for node in readers):
        return False
    for at, node in enumerate(readers):
        zero = numpy_helper.to_array(weights[node.input[2]]).astype(np.int16) + SHIFT
        name = f"{node.input[2]}_of_pixels_{at}"
        graph.initializer.append(numpy_helper.from_array(zero.astype(np.uint8), name))
        node.input[2] = name
    inputs[0].type.tensor_type.elem_type = TensorProto.UINT8
    return True


def input_affine(model: onnx.ModelProto) -> tuple[float, int] | None:
    """Scale and zero point of integers that go in; None where no DequantizeLinear tells them."""
    weights, source, readers = _input(model)
    if source is None or source.type.tensor_type.elem_type not in INTEGERS or not readers:
        return None
    names = list(readers[0].input[1:])
    for node in readers:
        if node.op_type != "DequantizeLinear" or list(node.input[1:]) != names:
            return None
    parts = [numpy_helper.to_array(weights[name]) for name in names if name in weights]
    if len(parts) != len(names) or any(part.size != 1 for part in parts):
        return None
    scale, zero = (*(part.reshape(()).item() for part in parts), 0)[:2]
    return float(scale), int(zero)


def with_float_input(model: onnx.ModelProto) -> None:
    """Take the floats that the integers of `input_affine` stand for, and round them here."""
    _, source, readers = _input(model)
    assert source is not None  # noqa: S101  `input_affine` found it
    levels = f"{source.name}_levels"
    rounding = helper.make_node(
        "QuantizeLinear", [source.name, *readers[0].input[1:]], [levels], levels
    )
    for node in readers:
        node.input[0] = levels
    model.graph.node.insert(0, rounding)
    source.type.tensor_type.elem_type = TensorProto.FLOAT


def _input(
    model: onnx.ModelProto,
) -> tuple[dict[str, TensorProto], onnx.ValueInfoProto | None, list[NodeProto]]:
    """The weights, the one input, and the nodes that read it."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        return weights, None, []
    return weights, inputs[0], [one for one in model.graph.node if inputs[0].name in one.input]


def _moves(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    plain = node.op_type == "DequantizeLinear" and len(node.input) == 3
    return plain and node.input[2] in weights
