"""The walk over any ONNX graph: equal to the definition's on our exports, right on others'."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.card.card import Cost, Family, LayerRow
from models.export.export import Recipe, export, untrained
from models.export.exported import read_exported
from models.network.cost import network_cost, stored_params
from models.network.network import Network
from models.onnx_cost.graph_cost import GraphCostError, graph_cost
from models.recipes.file import write_from_recipe
from models.zoo.fetch import Fetcher
from models.zoo.zoo import DEFAULT_MODEL, Entry, export_entry, find, zoo
from tests.exports import random_recipe
from tests.models.graph_builder import GraphBuilder, classifier

TOTALS = (
    "stored_params", "madds", "classifier_madds", "peak_activation_bytes", "standard_madds",
)  # fmt: skip
INT8 = [
    name
    for name, entry in zoo().items()
    if entry.precision == "int8"
    and entry.download_bytes
    and name != f"{DEFAULT_MODEL}_ptq"  # whose weights are not among the shared ones
]
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
    name: str, published_weights: Path, tmp_path: Path
) -> None:
    entry = find(name)
    path = export_entry(
        entry, Fetcher(tmp_path, (published_weights,), offline=True).locate, tmp_path
    )
    assert_agrees_at_every_resolution(path, entry)


def test_both_walks_agree_on_the_int8_form_of_the_default_model(
    real_store: Path, tmp_path: Path
) -> None:
    entry = find(f"{DEFAULT_MODEL}_ptq")
    assert entry.int8_recipe
    float_model = read_exported(real_store / f"{DEFAULT_MODEL}.onnx")
    path = write_from_recipe(float_model, entry.int8_recipe, tmp_path)
    assert_agrees_at_every_resolution(path, entry)


def assert_agrees_at_every_resolution(path: Path, entry: Entry) -> None:
    model = onnx.load(path)
    for resolution in range(96, 321, 32):
        defined = replace(entry.recipe, resolution=resolution).cost("int8")
        assert_equal_costs(defined, graph_cost(model, resolution))


def test_a_path_can_stand_for_the_model_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(classifier(), path)
    assert graph_cost(path, 32) == graph_cost(classifier(), 32)


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
    builder = GraphBuilder(["N", 3, "H", "W"], TensorProto.UINT8)
    scale, zero = builder.const("s"), builder.const("z", dtype=np.uint8)
    quantised, weights_zero = [scale, zero], builder.const("wz", dtype=np.int8)

    def conv(source: str, kernel: tuple[int, ...], name: str, **attributes: Any) -> str:
        weights = builder.const(f"{name}_w", *kernel, dtype=np.int8)
        bias = builder.const(f"{name}_b", kernel[0], dtype=np.int32)
        inputs = [source, *quantised, weights, scale, weights_zero, *quantised, bias]
        return builder.node("QLinearConv", inputs, name, **attributes)

    conv("x", (8, 3, 1, 1), "stem")
    conv("stem", (8, 1, 3, 3), "dw", group=8, pads=[1, 1, 1, 1])
    conv("dw", (8, 8, 1, 1), "pw")
    own: dict[str, Any] = {"domain": "com.microsoft"}
    both = ["pw", *quantised, "stem", *quantised, *quantised]
    builder.node("QLinearAdd", both, "sum", **own)
    builder.node("QLinearConcat", [*quantised, *both[:6]], "wide", axis=1, **own)
    pooled = ["wide", *quantised, *quantised]
    builder.node("QLinearGlobalAveragePool", pooled, "pooled", channels_last=0, **own)
    builder.node("Flatten", ["pooled"], "flat")
    matrix = [builder.const("m", 16, 10, dtype=np.int8), scale, weights_zero]
    bias = builder.const("mb", 10, dtype=np.int32)
    builder.node("QGemm", ["flat", *quantised, *matrix, bias, *quantised], "out", **own)

    cost = graph_cost(builder.model("out", TensorProto.UINT8), 32)
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


def test_a_pool_that_keeps_channels_last_is_rejected() -> None:
    builder = GraphBuilder([1, 32, 32, 3], TensorProto.UINT8)
    quantised = [builder.const("s"), builder.const("z", dtype=np.uint8)]
    inputs = ["x", *quantised, *quantised]
    own: dict[str, Any] = {"domain": "com.microsoft"}
    builder.node("QLinearGlobalAveragePool", inputs, "out", channels_last=1, **own)
    with pytest.raises(GraphCostError, match=r"'out' \(QLinearGlobalAveragePool\) is unknown"):
        graph_cost(builder.model("out", TensorProto.UINT8))


def test_scaling_by_a_constant_that_comes_first_is_no_constant() -> None:
    builder = GraphBuilder(["N", 3, "H", "W"])
    builder.node("Div", ["x", builder.const("d", 1, 3, 1, 1)], "small")
    builder.node("Sub", [builder.const("one", 1), "small"], "turned")
    builder.node("Mul", [builder.const("two", 1), "turned"], "scaled")
    builder.node("MaxPool", ["scaled"], "out", kernel_shape=[2, 2], strides=[2, 2])
    cost = graph_cost(builder.model("out"), 32)
    assert [(row.kind, row.kernel, row.stride) for row in cost.layers] == [("max_pool", (2, 2), 2)]
    assert cost.peak_activation_bytes == 3 * (32 * 32 + 16 * 16) * 4


def test_a_matrix_product_of_two_features_is_no_layer() -> None:
    builder = GraphBuilder([1, 4, 8, 8])
    builder.node("MatMul", ["x", "x"], "out")
    cost = graph_cost(builder.model("out"))
    assert (cost.layers, cost.madds) == ((), 0)


def test_a_matrix_is_used_once_a_row_of_what_it_is_given() -> None:
    builder = GraphBuilder([1, 4, 8, 16])
    builder.node("MatMul", ["x", builder.const("w", 16, 10)], "out")
    assert graph_cost(builder.model("out")).madds == 4 * 8 * 160
