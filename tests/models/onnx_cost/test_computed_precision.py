"""Every card's claim about precision holds in the graph that onnxruntime computes."""

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from app.card.card import ModelCard
from models.export.export import untrained
from models.export.graph import FloatWriter, InputScaling, QuantizedWriter, build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.onnx_cost.computed_precision import contradictions
from models.recommendation.probe import _random_integers
from tests.exports import random_recipe

RECIPE = random_recipe("mobilenet_v2", 0.35, 96)
NETWORK = RECIPE.network()
CONVOLUTIONS = 52  # of MobileNetV2: the stem, 17 blocks of two or three, the head


def optimised(form: str, folder: Path) -> onnx.ModelProto:
    """The graph that onnxruntime makes of a small model on this CPU."""
    if form == "float":
        scaling = InputScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        model = build_graph(NETWORK, FloatWriter(untrained(NETWORK), scaling), background=False)
    else:
        writer = QuantizedWriter if form == "publisher's" else PostTrainingWriter
        model = build_graph(NETWORK, writer(_random_integers(NETWORK)), background=False)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


def card(form: str) -> ModelCard:
    if form == "float":
        return RECIPE.card("fp32")
    changes = {"precision": "int8", "precision_origin": "publisher_int8"}
    return RECIPE.card("fp32").model_copy(update=changes)


@pytest.mark.parametrize("form", ["float", "publisher's", "post-training"])
def test_all_layers_are_computed_in_the_precision_of_the_card(form: str, tmp_path: Path) -> None:
    graph = optimised(form, tmp_path)
    assert contradictions(card(form), graph) == []
    operators = [node.op_type for node in graph.graph.node]
    if form == "float":
        assert sum(operator.endswith("Conv") for operator in operators) == CONVOLUTIONS
    else:
        assert operators.count("QLinearConv") == CONVOLUTIONS
        assert operators.count("QGemm") == 1


@pytest.mark.parametrize(
    ("stated", "computed", "expected"),
    [
        (
            "float",
            "publisher's",
            [
                "0 Conv and FusedConv for 52 layers in fp32",
                "0 FusedGemm and Gemm and MatMul for 1 layers in fp32",
                "DequantizeLinear, QGemm, QLinearAdd, QLinearConv, QuantizeLinear "
                "although its card says fp32",
            ],
        ),
        (
            "int8",
            "float",
            [
                "0 QLinearConv for 52 layers in int8",
                "0 QGemm and QLinearMatMul for 1 layers in int8",
                "Conv, Gemm although its card says int8",
            ],
        ),
    ],
)
def test_a_card_of_another_precision_is_contradicted(
    stated: str, computed: str, expected: list[str], tmp_path: Path
) -> None:
    found = contradictions(card(stated), optimised(computed, tmp_path))
    if stated == "int8":  # ARM has no kernels that blend ReLU6 into Conv by another layout
        found = [line.replace("Conv, FusedConv,", "Conv,") for line in found]
    assert found == [f"mobilenet_v2_0.35_96: {line}" for line in expected]


def test_one_layer_left_in_float_is_found(tmp_path: Path) -> None:
    graph = optimised("post-training", tmp_path)
    first = next(node for node in graph.graph.node if node.op_type == "QLinearConv")
    first.op_type = "FusedConv"
    assert contradictions(card("int8"), graph) == [
        "mobilenet_v2_0.35_96: 51 QLinearConv for 52 layers in int8",
        "mobilenet_v2_0.35_96: FusedConv although its card says int8",
    ]
