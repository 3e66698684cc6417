"""Small ONNX graphs of others: classifiers, and what is not one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.models.graph_builder import GraphBuilder

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def small(
    shape: list[int | str] | None = None,
    element: int = FLOAT,
    end: str | None = None,
    **attributes: Any,
) -> GraphBuilder:
    """Convolution, pooling, 10 scores in `scores`, and perhaps one more node to `out`."""
    builder = GraphBuilder(shape or [1, 3, 32, 32], element)
    source = "x"
    if element == UINT8:
        source = builder.node("Cast", ["x"], "floats", to=FLOAT)
    kernel = builder.const("kernel", 8, 3, 3, 3)
    builder.node("Conv", [source, kernel], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "scores")
    if end:
        builder.node(end, ["scores"], "out", **attributes)
    return builder


def detector() -> onnx.ModelProto:
    builder = small()
    builder.node("MatMul", ["flat", builder.const("boxes_matrix", 8, 4)], "boxes")
    model = builder.model("scores")
    model.graph.output.append(helper.make_tensor_value_info("boxes", FLOAT, [1, 4]))
    return model


def one_output_detector() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 32, 32])
    builder.node("Conv", ["x", builder.const("k", 84, 3, 1, 1)], "map")
    target = helper.make_tensor("target", INT64, [3], [1, 84, 1024])
    builder.constants.append(target)
    builder.node("Reshape", ["map", "target"], "out")
    return builder.model("out")


def suppressing() -> onnx.ModelProto:
    builder = small()
    builder.node("NonMaxSuppression", ["scores", "scores"], "out")
    return builder.model("out", INT64)


def segmentation() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 32, 32])
    builder.node("Conv", ["x", builder.const("k", 21, 3, 1, 1)], "out")
    return builder.model("out")


def text() -> onnx.ModelProto:
    builder = GraphBuilder(["N", "T"], INT64)
    builder.node("Gather", [builder.const("table", 100, 8), "x"], "out")
    return builder.model("out")


def custom() -> onnx.ModelProto:
    builder = small()
    builder.node("Mystery", ["scores"], "out", domain="acme")
    model = builder.model("out")
    model.opset_import.append(helper.make_opsetid("acme", 1))
    return model


def in_training() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 32, 32])
    norm = [builder.const(f"norm_{at}", 3) for at in range(4)]
    builder.node("BatchNormalization", ["x", *norm], "out", training_mode=1)
    return builder.model("out")


def with_a_loss() -> onnx.ModelProto:
    builder = small()
    labels = helper.make_tensor("labels", INT64, [1], [0])
    builder.constants.append(labels)
    builder.node("SoftmaxCrossEntropyLoss", ["scores", "labels"], "out")
    return builder.model("out")


def training_info() -> onnx.ModelProto:
    model = small().model("scores")
    model.training_info.add()
    return model


def brain_floats() -> onnx.ModelProto:
    builder = small()
    builder.constants.append(helper.make_tensor("unused", TensorProto.BFLOAT16, [2], [1.0, 2.0]))
    return builder.model("scores")


def boxes_and_classes() -> onnx.ModelProto:
    """What SSD gives: scores and four numbers for each of 9 boxes."""
    model = small().model("scores")
    model.graph.output.append(helper.make_tensor_value_info("boxes", FLOAT, [1, 9, 4]))
    return model


def maps_of_several_sizes() -> onnx.ModelProto:
    """What YOLO v3 gives."""
    model = small().model("conv")
    outputs = [("conv", [1, 8, 16, 16]), ("large", [1, 8, 32, 32])]
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs
    )
    return model


def branching() -> onnx.ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["scores"], ["inner"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, [1, 10])],
    )
    builder = small()
    builder.node(
        "If", [builder.const("yes", dtype=np.bool_)], "out", then_branch=inner, else_branch=inner
    )
    return builder.model("out")


def old() -> onnx.ModelProto:
    model = small().model("scores")
    model.opset_import[0].version = 6
    return model


def nothing_learned() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 32, 32])
    builder.node("GlobalAveragePool", ["x"], "out")
    return builder.model("out")


def damaged_weights() -> onnx.ModelProto:
    builder = small()
    builder.constants[-1].CopyFrom(
        helper.make_tensor("matrix", FLOAT, [8, 10], [float("nan")] * 80)
    )
    return builder.model("scores")


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "Some Model (v1).onnx"
    onnx.save(model, path)
    return path
