"""Small ONNX graphs of other exporters, in the making."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Sketch:
    """A graph in the making, as other exporters write it."""

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
            "sketch",
            [self.image],
            [helper.make_tensor_value_info(output, element, None)],
            self.constants,
        )
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def classifier(shape: list[int | str] | None = None) -> onnx.ModelProto:
    """A convolution with unfolded batch norm, a grouped one, ReduceMean, MatMul and Add."""
    sketch = Sketch(shape or ["N", 3, "H", "W"])
    kernel = sketch.const("k1", 8, 3, 3, 3)
    sketch.node("Conv", ["x", kernel], "c1", strides=[2, 2], pads=[1, 1, 1, 1])
    norm = [sketch.const(f"bn{at}", 8) for at in range(4)]
    sketch.node("BatchNormalization", ["c1", *norm], "n1")
    sketch.node("Relu", ["n1"], "r1")
    grouped = [sketch.const("k2", 16, 2, 3, 3), sketch.const("b2", 16)]
    sketch.node("Conv", ["r1", *grouped], "c2", group=4, pads=[1, 1, 1, 1])
    sketch.node("ReduceMean", ["c2"], "pooled", axes=[2, 3], keepdims=0)
    sketch.node("MatMul", ["pooled", sketch.const("w", 16, 10)], "scores")
    sketch.node("Add", ["scores", sketch.const("b", 10)], "out")
    return sketch.model("out")
