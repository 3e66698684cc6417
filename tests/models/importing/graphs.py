"""Small ONNX graphs of others: classifiers, and what is not one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.models.sketch import Sketch

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def small(
    shape: list[int | str] | None = None,
    element: int = FLOAT,
    end: str | None = None,
    **attributes: Any,
) -> Sketch:
    """Convolution, pooling, 10 scores in `scores`, and perhaps one more node to `out`."""
    sketch = Sketch(shape or [1, 3, 32, 32], element)
    source = "x"
    if element == UINT8:
        source = sketch.node("Cast", ["x"], "floats", to=FLOAT)
    kernel = sketch.const("kernel", 8, 3, 3, 3)
    sketch.node("Conv", [source, kernel], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    sketch.node("GlobalAveragePool", ["conv"], "pooled")
    sketch.node("Flatten", ["pooled"], "flat")
    sketch.node("MatMul", ["flat", sketch.const("matrix", 8, 10)], "scores")
    if end:
        sketch.node(end, ["scores"], "out", **attributes)
    return sketch


def detector() -> onnx.ModelProto:
    sketch = small()
    sketch.node("MatMul", ["flat", sketch.const("boxes_matrix", 8, 4)], "boxes")
    model = sketch.model("scores")
    model.graph.output.append(helper.make_tensor_value_info("boxes", FLOAT, [1, 4]))
    return model


def one_output_detector() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("Conv", ["x", sketch.const("k", 84, 3, 1, 1)], "map")
    target = helper.make_tensor("target", INT64, [3], [1, 84, 1024])
    sketch.constants.append(target)
    sketch.node("Reshape", ["map", "target"], "out")
    return sketch.model("out")


def suppressing() -> onnx.ModelProto:
    sketch = small()
    sketch.node("NonMaxSuppression", ["scores", "scores"], "out")
    return sketch.model("out", INT64)


def segmentation() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("Conv", ["x", sketch.const("k", 21, 3, 1, 1)], "out")
    return sketch.model("out")


def text() -> onnx.ModelProto:
    sketch = Sketch(["N", "T"], INT64)
    sketch.node("Gather", [sketch.const("table", 100, 8), "x"], "out")
    return sketch.model("out")


def custom() -> onnx.ModelProto:
    sketch = small()
    sketch.node("Mystery", ["scores"], "out", domain="acme")
    model = sketch.model("out")
    model.opset_import.append(helper.make_opsetid("acme", 1))
    return model


def in_training() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    norm = [sketch.const(f"norm_{at}", 3) for at in range(4)]
    sketch.node("BatchNormalization", ["x", *norm], "out", training_mode=1)
    return sketch.model("out")


def with_a_loss() -> onnx.ModelProto:
    sketch = small()
    labels = helper.make_tensor("labels", INT64, [1], [0])
    sketch.constants.append(labels)
    sketch.node("SoftmaxCrossEntropyLoss", ["scores", "labels"], "out")
    return sketch.model("out")


def training_info() -> onnx.ModelProto:
    model = small().model("scores")
    model.training_info.add()
    return model


def half_floats() -> onnx.ModelProto:
    sketch = small()
    sketch.const("unused", 3, dtype=np.float16)
    return sketch.model("scores")


def branching() -> onnx.ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["scores"], ["inner"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, [1, 10])],
    )
    sketch = small()
    sketch.node(
        "If", [sketch.const("yes", dtype=np.bool_)], "out", then_branch=inner, else_branch=inner
    )
    return sketch.model("out")


def old() -> onnx.ModelProto:
    model = small().model("scores")
    model.opset_import[0].version = 6
    return model


def nothing_learned() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("GlobalAveragePool", ["x"], "out")
    return sketch.model("out")


def damaged_weights() -> onnx.ModelProto:
    sketch = small()
    sketch.constants[-1].CopyFrom(helper.make_tensor("matrix", FLOAT, [8, 10], [float("nan")] * 80))
    return sketch.model("scores")


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "Some Model (v1).onnx"
    onnx.save(model, path)
    return path
