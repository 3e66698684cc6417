"""Changes of attributes and constants of an ONNX graph."""

from random import Random

import numpy as np
import onnx
from onnx import helper, numpy_helper

WHOLE = (-1, 1)
OTHER_KINDS = {"Add": ("Mul", "Sub"), "Relu": ("Sigmoid", "Tanh"), "AveragePool": ("MaxPool",)}


def mutate(random: Random, model: onnx.ModelProto) -> str:
    """Change one thing; say what."""
    while True:
        way = random.choice((_attribute, _attribute, _constant, _constant, _kind))
        if (said := way(random, model.graph)) is not None:
            return said


def _attribute(random: Random, graph: onnx.GraphProto) -> str | None:
    node = random.choice(graph.node)
    if not node.attribute:
        return None
    attribute = random.choice(node.attribute)
    if attribute.type == onnx.AttributeProto.INTS:
        values = list(attribute.ints)
        step = random.choice(WHOLE)
        if random.random() < 0.6:  # height and width alike
            values = [value + step for value in values]
        else:
            values[random.randrange(len(values))] += step
        new: object = values
    elif attribute.type == onnx.AttributeProto.INT:
        new = attribute.i + random.choice(WHOLE)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        new = attribute.f * random.choice((0.5, 2))
    else:
        return None
    name = attribute.name
    attribute.CopyFrom(helper.make_attribute(name, new))
    return f"{node.op_type} {name} {new}"


def _constant(random: Random, graph: onnx.GraphProto) -> str | None:
    tensor = random.choice(graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    if values.dtype.kind == "f":
        order = np.random.default_rng(random.randrange(1 << 30)).permutation(values.size)
        factor = np.float32(random.choice((0.5, 1, 1.5)))
        values = (values.reshape(-1)[order].reshape(values.shape) * factor).astype(values.dtype)
    elif values.size:
        values.reshape(-1)[random.randrange(values.size)] += random.choice(WHOLE)
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values), name))
    return f"constant {name} {values.shape}"


def _kind(random: Random, graph: onnx.GraphProto) -> str | None:
    node = random.choice(graph.node)
    if node.op_type not in OTHER_KINDS:
        return None
    before, node.op_type = node.op_type, random.choice(OTHER_KINDS[node.op_type])
    return f"{before} becomes {node.op_type}"
