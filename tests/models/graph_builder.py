"""Building small ONNX graphs as other exporters write them."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class GraphBuilder:
    """Builds an ONNX graph as other exporters write it."""

    def __init__(self, shape: list[int | str], element: int = TensorProto.FLOAT) -> None:
        self.image = helper.make_tensor_value_info("x", element, shape)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, name: str, *shape: int, dtype: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ones(shape, dtype), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def model(self, output: str, element: int = TensorProto.FLOAT) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [self.image],
            [helper.make_tensor_value_info(output, element, None)],
            self.constants,
        )
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def classifier(shape: list[int | str] | None = None) -> onnx.ModelProto:
    """A convolution with unfolded batch norm, a grouped one, ReduceMean, MatMul and Add."""
    builder = GraphBuilder(shape or ["N", 3, "H", "W"])
    kernel = builder.const("k1", 8, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "c1", strides=[2, 2], pads=[1, 1, 1, 1])
    norm = [builder.const(f"bn{at}", 8) for at in range(4)]
    builder.node("BatchNormalization", ["c1", *norm], "n1")
    builder.node("Relu", ["n1"], "r1")
    grouped = [builder.const("k2", 16, 2, 3, 3), builder.const("b2", 16)]
    builder.node("Conv", ["r1", *grouped], "c2", group=4, pads=[1, 1, 1, 1])
    builder.node("ReduceMean", ["c2"], "pooled", axes=[2, 3], keepdims=0)
    builder.node("MatMul", ["pooled", builder.const("w", 16, 10)], "scores")
    builder.node("Add", ["scores", builder.const("b", 10)], "out")
    return builder.model("out")
