"""onnxruntime's quantised operators in terms of ONNX's own.

ONNX's shape inference does not know the operators of the domain `com.microsoft` that
onnxruntime's quantiser writes. Each works on the shapes of a standard operator, so that one takes
its place where only shapes count (onnxruntime docs/ContribOperators.md has the input orders).
"""

import onnx
from onnx import NodeProto

DOMAIN = "com.microsoft"

# the standard operator, and where the real tensors are among scales and zero points
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
OWN_ATTRIBUTES = {LAYOUT, "opset"}


def standardise(graph: onnx.GraphProto) -> None:
    """Put standard operators in place of onnxruntime's quantised ones; the sums are not the same.

    A node that keeps its channels last has no such form and stays as it is.
    """
    for node in graph.node:
        if node.domain == DOMAIN and node.op_type in STANDARD_FORM and not _channels_last(node):
            _rewrite(node, *STANDARD_FORM[node.op_type])


def _channels_last(node: NodeProto) -> bool:
    return any(item.name == LAYOUT and item.i for item in node.attribute)


def _rewrite(node: NodeProto, op_type: str, tensors: slice) -> None:
    inputs = list(node.input)[tensors]
    attributes = [item for item in node.attribute if item.name not in OWN_ATTRIBUTES]
    node.domain, node.op_type = "", op_type
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
    node.attribute.extend(attributes)
