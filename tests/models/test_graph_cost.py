"""The walk over any ONNX graph: equal to the definition's on our exports, right on others'."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.card import Cost, Family, LayerRow
from models.cost import network_cost, stored_params
from models.export import Recipe, export, untrained
from models.fetch import Fetcher
from models.graph_cost import GraphCostError, graph_cost
from models.network import Network
from models.zoo import export_entry, find, zoo
from tests.exports import random_recipe

TOTALS = (
    "stored_params", "madds", "classifier_madds", "peak_activation_bytes", "standard_madds",
)  # fmt: skip
INT8 = [name for name, entry in zoo().items() if entry.precision == "int8" and entry.download_bytes]
WIDTHS: list[tuple[Family, float]] = [
    ("mobilenet_v1", 0.25),
    ("mobilenet_v1", 0.6),
    ("mobilenet_v1", 1.0),
    ("mobilenet_v2", 0.35),
    ("mobilenet_v2", 1.0),
    ("mobilenet_v2", 1.4),
]


def at_resolution(recipe: Recipe, resolution: int) -> Network:
    return replace(recipe, resolution=resolution).network()


def folded(row: LayerRow) -> LayerRow:
    """The row as a file with folded batch norm has it."""
    return row.model_copy(
        update={"biases": stored_params(row) - row.weights, "batch_norm_params": 0}
    )


def assert_equal_costs(defined: Cost, walked: Cost) -> None:
    assert [getattr(walked, name) for name in TOTALS] == [getattr(defined, name) for name in TOTALS]
    assert walked.params == defined.stored_params
    assert list(walked.layers) == [folded(row) for row in defined.layers]


@pytest.mark.parametrize(("family", "alpha"), WIDTHS)
def test_both_walks_agree_on_our_exports_at_every_resolution(
    family: Family, alpha: float, tmp_path: Path
) -> None:
    recipe = random_recipe(family, alpha, 224)
    model = onnx.load(export(recipe, untrained(recipe.network()), "fp32", tmp_path))
    for resolution in range(96, 321, 32):
        defined = network_cost(at_resolution(recipe, resolution))
        assert_equal_costs(defined, graph_cost(model, resolution))


@pytest.mark.parametrize("name", INT8)
def test_both_walks_agree_on_quantised_exports_at_every_resolution(
    name: str, shared_weights: Path, tmp_path: Path
) -> None:
    entry = find(name)
    path = export_entry(entry, Fetcher(tmp_path, (shared_weights,), offline=True).locate, tmp_path)
    model = onnx.load(path)
    for resolution in range(96, 321, 32):
        defined = network_cost(at_resolution(entry.recipe, resolution), "int8")
        assert_equal_costs(defined, graph_cost(model, resolution))


def test_a_path_can_stand_for_the_model_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(classifier(), path)
    assert graph_cost(path, 32) == graph_cost(classifier(), 32)


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


def rows_of(cost: Cost) -> list[tuple[str, str, int, int, int, int]]:
    return [
        (row.name, row.kind, row.weights, row.biases, row.batch_norm_params, row.madds)
        for row in cost.layers
    ]


def test_a_float_classifier_of_another_exporter_has_its_costs() -> None:
    cost = graph_cost(classifier(), 32)
    assert rows_of(cost) == [
        ("c1", "conv", 216, 0, 16, 216 * 256),
        ("c2", "conv", 288, 16, 0, 288 * 256),
        ("pooled", "global_pool", 0, 0, 0, 0),
        ("scores", "linear", 160, 10, 0, 160),
    ]
    assert cost.params == 216 + 16 + 288 + 16 + 160 + 10
    assert cost.stored_params == cost.params - 8
    assert cost.classifier_madds == 160
    # batch norm and ReLU work in place: the grouped convolution holds both its ends
    assert cost.peak_activation_bytes == (8 + 16) * 256 * 4
    assert cost.standard_madds == cost.madds


@pytest.mark.parametrize("shape", [["N", 3, 32, 32], [1, 3, 32, 32], ["N", 3, "H", 32]])
def test_sizes_that_a_graph_fixes_need_not_be_named(shape: list[int | str]) -> None:
    resolution = 32 if "H" in shape else None
    assert graph_cost(classifier(shape), resolution) == graph_cost(classifier(), 32)


def test_weights_in_constant_nodes_are_weights() -> None:
    model = classifier()
    for tensor in list(model.graph.initializer):
        node = helper.make_node("Constant", [], [tensor.name], value=tensor)
        model.graph.node.insert(0, node)
    del model.graph.initializer[:]
    assert graph_cost(model, 32) == graph_cost(classifier(), 32)


def test_weights_that_are_also_inputs_are_weights() -> None:
    model = classifier()
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(value)
    assert graph_cost(model, 32) == graph_cost(classifier(), 32)


def test_a_quantised_operator_graph_has_its_costs() -> None:
    """QLinearConv and onnxruntime's own operators for the residual sum, pooling and classifier."""
    sketch = Sketch(["N", 3, "H", "W"], TensorProto.UINT8)
    scale, zero = sketch.const("s"), sketch.const("z", dtype=np.uint8)
    quantised, weights_zero = [scale, zero], sketch.const("wz", dtype=np.int8)

    def conv(source: str, kernel: tuple[int, ...], name: str, **attributes: Any) -> str:
        weights = sketch.const(f"{name}_w", *kernel, dtype=np.int8)
        bias = sketch.const(f"{name}_b", kernel[0], dtype=np.int32)
        inputs = [source, *quantised, weights, scale, weights_zero, *quantised, bias]
        return sketch.node("QLinearConv", inputs, name, **attributes)

    conv("x", (8, 3, 1, 1), "stem")
    conv("stem", (8, 1, 3, 3), "dw", group=8, pads=[1, 1, 1, 1])
    conv("dw", (8, 8, 1, 1), "pw")
    own: dict[str, Any] = {"domain": "com.microsoft"}
    both = ["pw", *quantised, "stem", *quantised, *quantised]
    sketch.node("QLinearAdd", both, "sum", **own)
    sketch.node("QLinearConcat", [*quantised, *both[:6]], "wide", axis=1, **own)
    pooled = ["wide", *quantised, *quantised]
    sketch.node("QLinearGlobalAveragePool", pooled, "pooled", channels_last=0, **own)
    sketch.node("Flatten", ["pooled"], "flat")
    matrix = [sketch.const("m", 16, 10, dtype=np.int8), scale, weights_zero]
    bias = sketch.const("mb", 10, dtype=np.int32)
    sketch.node("QGemm", ["flat", *quantised, *matrix, bias, *quantised], "out", **own)

    cost = graph_cost(sketch.model("out", TensorProto.UINT8), 32)
    assert rows_of(cost) == [
        ("stem", "pointwise", 24, 8, 0, 24 * 1024),
        ("dw", "depthwise", 72, 8, 0, 72 * 1024),
        ("pw", "pointwise", 64, 8, 0, 64 * 1024),
        ("sum", "add", 0, 0, 0, 0),
        ("wide", "concat", 0, 0, 0, 0),
        ("pooled", "global_pool", 0, 0, 0, 0),
        ("out", "linear", 160, 10, 0, 160),
    ]
    # stem, pw (with the sum written over it) and both of them side by side, a byte each
    assert cost.peak_activation_bytes == (8 + 8 + 16) * 1024
    standard = 9 * 64 - 64 - 72
    assert cost.standard_madds == cost.madds + standard * 1024
    assert cost.standard_params == cost.params + standard - 8


def test_a_pool_that_keeps_channels_last_is_refused() -> None:
    sketch = Sketch([1, 32, 32, 3], TensorProto.UINT8)
    quantised = [sketch.const("s"), sketch.const("z", dtype=np.uint8)]
    inputs = ["x", *quantised, *quantised]
    own: dict[str, Any] = {"domain": "com.microsoft"}
    sketch.node("QLinearGlobalAveragePool", inputs, "out", channels_last=1, **own)
    with pytest.raises(GraphCostError, match=r"'out' \(QLinearGlobalAveragePool\) stays unknown"):
        graph_cost(sketch.model("out", TensorProto.UINT8))


def test_scaling_by_a_constant_that_comes_first_is_no_constant() -> None:
    sketch = Sketch(["N", 3, "H", "W"])
    sketch.node("Div", ["x", sketch.const("d", 1, 3, 1, 1)], "small")
    sketch.node("Sub", [sketch.const("one", 1), "small"], "turned")
    sketch.node("Mul", [sketch.const("two", 1), "turned"], "scaled")
    sketch.node("MaxPool", ["scaled"], "out", kernel_shape=[2, 2], strides=[2, 2])
    cost = graph_cost(sketch.model("out"), 32)
    assert [(row.kind, row.kernel, row.stride) for row in cost.layers] == [("max_pool", (2, 2), 2)]
    assert cost.peak_activation_bytes == 3 * (32 * 32 + 16 * 16) * 4


def test_a_matrix_product_of_two_features_is_no_layer() -> None:
    sketch = Sketch([1, 4, 8, 8])
    sketch.node("MatMul", ["x", "x"], "out")
    cost = graph_cost(sketch.model("out"))
    assert (cost.layers, cost.madds) == ((), 0)


def test_a_matrix_is_used_once_a_row_of_what_it_is_given() -> None:
    sketch = Sketch([1, 4, 8, 16])
    sketch.node("MatMul", ["x", sketch.const("w", 16, 10)], "out")
    assert graph_cost(sketch.model("out")).madds == 4 * 8 * 160


def two_inputs() -> onnx.ModelProto:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8]))
    return model


def of_another_domain() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 8, 8])
    sketch.node("Mystery", ["x"], "out", domain="com.microsoft")
    return sketch.model("out")


def of_free_shape() -> onnx.ModelProto:
    """The shape of its output is an input's value, which nobody knows before a run."""
    sketch = Sketch([1, 3, 8, 8])
    sketch.node("NonZero", ["x"], "out")
    return sketch.model("out", TensorProto.INT64)


def without_a_type() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 8, 8], TensorProto.UNDEFINED)
    sketch.node("Mystery", ["x"], "out", domain="com.microsoft")
    return sketch.model("out")


def with_wrong_shapes() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 8, 8])
    sketch.node("MatMul", ["x", sketch.const("w", 5, 10)], "out")
    return sketch.model("out")


@pytest.mark.parametrize(
    ("model", "resolution", "text"),
    [
        pytest.param(two_inputs(), 32, "one input with four axes", id="two inputs"),
        pytest.param(Sketch([1, 3]).model("x"), 32, "one input with four axes", id="no image"),
        pytest.param(classifier(), None, "a resolution is needed", id="free size"),
        pytest.param(classifier(["N", "C", "H", "W"]), 32, "all free", id="free channels"),
        pytest.param(classifier([1, 3, 32, 32]), 64, "64 does not go in", id="fixed size"),
        pytest.param(
            of_another_domain(), None, r"'out' \(Mystery\) stays unknown", id="unknown op"
        ),
        pytest.param(of_free_shape(), None, r"'out' \(NonZero\) stays unknown", id="free shape"),
        pytest.param(without_a_type(), None, "has no type", id="no type"),
        pytest.param(with_wrong_shapes(), None, "shape inference failed", id="shapes clash"),
    ],
)
def test_a_graph_whose_cost_cannot_be_told_is_refused_with_the_reason(
    model: onnx.ModelProto, resolution: int | None, text: str
) -> None:
    with pytest.raises(GraphCostError, match=text):
        graph_cost(model, resolution)
