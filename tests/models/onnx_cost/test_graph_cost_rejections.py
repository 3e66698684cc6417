"""Graphs whose cost cannot be told."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.files.onnx_file import OnnxFileError
from models.onnx_cost.graph_cost import GraphCostError, graph_cost
from tests.models.graph_builder import GraphBuilder, classifier


def two_inputs() -> onnx.ModelProto:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8]))
    return model


def of_another_domain() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 8, 8])
    builder.node("Mystery", ["x"], "out", domain="com.microsoft")
    return builder.model("out")


def of_free_shape() -> onnx.ModelProto:
    """The shape of its output is an input's value, which nobody knows before a run."""
    builder = GraphBuilder([1, 3, 8, 8])
    builder.node("NonZero", ["x"], "out")
    return builder.model("out", TensorProto.INT64)


def without_a_type() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 8, 8], TensorProto.UNDEFINED)
    builder.node("Mystery", ["x"], "out", domain="com.microsoft")
    return builder.model("out")


def of_an_unknown_type() -> onnx.ModelProto:
    model = classifier([1, 3, 8, 8])
    model.graph.initializer[0].data_type = 99
    return model


def without_an_output() -> onnx.ModelProto:
    model = classifier([1, 3, 8, 8])
    model.graph.node.append(onnx.NodeProto(op_type="Mystery", domain="com.microsoft"))
    return model


def with_wrong_shapes() -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 8, 8])
    builder.node("MatMul", ["x", builder.const("w", 5, 10)], "out")
    return builder.model("out")


@pytest.mark.parametrize(
    ("model", "resolution", "text"),
    [
        pytest.param(two_inputs(), 32, "one input with four axes", id="two inputs"),
        pytest.param(
            GraphBuilder([1, 3]).model("x"), 32, "one input with four axes", id="no image"
        ),
        pytest.param(classifier(), None, "Give a resolution", id="free size"),
        pytest.param(classifier(["N", "C", "H", "W"]), 32, "all symbolic", id="free channels"),
        pytest.param(
            classifier([1, 3, 32, 32]), 64, "resolution 64 is not possible", id="fixed size"
        ),
        pytest.param(classifier(), -5, "Resolution is -5; it must be from 1", id="negative"),
        pytest.param(classifier(), 0, "Resolution is 0; it must be from 1", id="no pixels"),
        pytest.param(classifier(), 2049, "must be from 1 to 2048", id="too many pixels"),
        pytest.param(of_another_domain(), None, r"'out' \(Mystery\) is unknown", id="unknown op"),
        pytest.param(of_free_shape(), None, r"'out' \(NonZero\) is unknown", id="free shape"),
        pytest.param(without_a_type(), None, "has no type", id="no type"),
        pytest.param(of_an_unknown_type(), None, "The graph is damaged: 99", id="unknown type"),
        pytest.param(without_an_output(), None, "The graph is damaged", id="no output"),
        pytest.param(with_wrong_shapes(), None, "Shape inference failed", id="shapes clash"),
    ],
)
def test_a_graph_of_unknown_cost_is_rejected_with_the_reason(
    model: onnx.ModelProto, resolution: int | None, text: str
) -> None:
    with pytest.raises(GraphCostError, match=text):
        graph_cost(model, resolution)


WHOLE = classifier().SerializeToString()


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graph") / "model.onnx"


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_changed_bytes_has_a_cost_or_a_reason(
    scratch: Path, data: st.DataObject
) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        cost = graph_cost(scratch, 32)
    except (GraphCostError, OnnxFileError):
        return
    assert cost.madds == sum(row.madds for row in cost.layers)
