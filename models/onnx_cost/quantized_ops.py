"""onnxruntime's quantised operators as standard ONNX operators.

ONNX's shape inference does not know the operators of the domain `com.microsoft` that
onnxruntime's quantiser writes. Each has the shapes of a standard operator, which replaces it where
only shapes count (onnxruntime docs/ContribOperators.md has the input orders).
"""

import onnx
from onnx import NodeProto

DOMAIN = "com.microsoft"

# The standard operator, and the positions of its inputs among scales and zero points.
STANDARD_FORM = {
    "QLinearAdd": ("Add", slice(0, 6, 3)),
    "QLinearAveragePool": ("AveragePool", slice(0, 1)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(0, 1)),
    "QLinearLeakyRelu": ("LeakyRelu", slice(0, 1)),
    "QLinearMul": ("Mul", slice(0, 6, 3)),
    "QLinearSigmoid": ("Sigmoid", slice(0, 1)),
    "QLinearSoftmax": ("Softmax", slice(0, 1)),
    "QGemm": ("Gemm", slice(0, 9, 3)),
}
LAYOUT = "channels_last"
CONTRIB_ATTRIBUTES = {LAYOUT, "opset"}


def standardise(graph: onnx.GraphProto) -> None:
    """Replace onnxruntime's quantised operators by standard ones of the same shapes.

    The graph then computes other values. Channels-last nodes have no standard form and stay.
    """
    for node in graph.node:
        channels_last = any(item.name == LAYOUT and item.i for item in node.attribute)
        if node.domain == DOMAIN and node.op_type in STANDARD_FORM and not channels_last:
            _rewrite(node, *STANDARD_FORM[node.op_type])


def _rewrite(node: NodeProto, op_type: str, tensors: slice) -> None:
    inputs = list(node.input)[tensors]
    attributes = [item for item in node.attribute if item.name not in CONTRIB_ATTRIBUTES]
    node.domain, node.op_type = "", op_type
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
    node.attribute.extend(attributes)
