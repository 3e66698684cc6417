"""Shapes that a graph works out as it runs, such as the target of a Reshape, as constants.

ONNX's own inference follows them through some operators of some opsets; exporters before 2020, and
quantisers of their files, write others. With the input's shape fixed, a Shape is a constant, and so
is what a few operators on whole numbers make of it.
"""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

MAX_ROUNDS = 20
MAX_SIZE = 64  # of a shape or a part of one
ON_SHAPES = {
    "Add", "Cast", "Concat", "Div", "Gather", "Mul", "Slice", "Squeeze", "Sub", "Unsqueeze",
}  # fmt: skip
WHOLE = {TensorProto.INT64, TensorProto.INT32}


def fold(model: onnx.ModelProto) -> None:
    """Replace every Shape of a known shape, and what follows from it, by a constant."""
    for _ in range(MAX_ROUNDS):
        if not any(node.op_type == "Shape" for node in model.graph.node):
            return
        inferred = shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
        if not _fold_once(model, _known(inferred.graph)):
            return


def _known(graph: onnx.GraphProto) -> dict[str, list[int]]:
    found = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        shape = value.type.tensor_type.shape
        sizes = [size.dim_value for size in shape.dim if size.dim_value > 0]
        if value.type.tensor_type.HasField("shape") and len(sizes) == len(shape.dim):
            found[value.name] = sizes
    return found


def _fold_once(model: onnx.ModelProto, shapes: dict[str, list[int]]) -> bool:
    """Whether anything was replaced."""
    graph = model.graph
    whole = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type in WHOLE and np.prod(tensor.dims) <= MAX_SIZE
    }
    kept, before = [], len(graph.node)
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            whole[node.output[0]] = np.array(shapes[node.input[0]], np.int64)
        elif node.op_type in ON_SHAPES and all(name in whole for name in node.input if name):
            whole[node.output[0]] = _value(model, node, whole)
        else:
            kept.append(node)
            continue
        graph.initializer.append(numpy_helper.from_array(whole[node.output[0]], node.output[0]))
    if len(kept) == before:
        return False
    del graph.node[:]
    graph.node.extend(kept)
    return True


def _value(model: onnx.ModelProto, node: NodeProto, whole: dict[str, np.ndarray]) -> np.ndarray:
    inputs = [name for name in node.input if name]
    alone = helper.make_graph(
        [node],
        "alone",
        [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in inputs],
        [helper.make_tensor_value_info(node.output[0], TensorProto.INT64, None)],
    )
    single = helper.make_model(alone, opset_imports=list(model.opset_import))
    [found] = ReferenceEvaluator(single).run(None, {name: whole[name] for name in inputs})
    return np.asarray(found)
