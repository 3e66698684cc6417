"""The form of a quantised graph with int8 activations has the answers of the file, bit for bit."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.card.card import CARD_KEY, parse_card
from app.card.protobuf import Message
from app.model import graph_cache
from app.model.graph.int8_activations import Int8Input, with_int8_activations
from models.export.export import read_metadata, untrained
from models.export.graph import FloatWriter, InputScaling, QuantizedWriter, build_graph
from models.network.design import define
from models.recommendation.probe import _random_integers
from tests.app.model.stored_forms import put_float

SIDE = 96
SCALING = InputScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def quantised() -> bytes:
    network = define("mobilenet_v2", alpha=0.35, resolution=SIDE, classes=20)
    model = build_graph(network, QuantizedWriter(_random_integers(network)), background=False)
    return model.SerializeToString()


def as_written(model: bytes) -> ort.InferenceSession:
    """A session without onnxruntime's optimiser, whose kernels may round a tie in another way."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(model: bytes) -> list[np.ndarray]:
    """For an image in uint8, which is made int8 by hand where the graph takes that."""
    image = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    session = as_written(model)
    if session.get_inputs()[0].type == "tensor(int8)":
        image = (image.astype(np.int16) - 128).astype(np.int8)
    return list(session.run(None, {"image": image}))


@pytest.fixture(scope="module")
def read_twice(quantised: bytes) -> bytes:
    """The graph with one more output, which shows the image."""
    model = onnx.load_from_string(quantised)
    model.graph.node.append(helper.make_node("Cast", ["image"], ["shown"], to=TensorProto.FLOAT))
    shown = helper.make_tensor_value_info("shown", TensorProto.FLOAT, ["N", "H", "W", 3])
    model.graph.output.append(shown)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("graph", "unsigned_left"), [("quantised", 0), ("read_twice", 1)])
def test_all_outputs_stay_equal(
    graph: str, unsigned_left: int, request: pytest.FixtureRequest
) -> None:
    """An image that is read in another way, too, stays uint8 and is quantised once more."""
    quantised: bytes = request.getfixturevalue(graph)
    made = with_int8_activations(quantised)
    assert made is not None
    model = onnx.load_from_string(made)
    onnx.checker.check_model(model, full_check=True)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    before = {tensor.name: tensor for tensor in onnx.load_from_string(quantised).graph.initializer}
    zeros = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {tensors[name].data_type for name in zeros} == {TensorProto.INT8}
    for name in zeros:
        [was, now] = (int(numpy_helper.to_array(one[name])) for one in (before, tensors))
        assert now == was - 128
    unsigned = [tensor.name for tensor in tensors.values() if tensor.data_type == TensorProto.UINT8]
    assert len(unsigned) == unsigned_left
    kind = model.graph.input[0].type.tensor_type.elem_type
    assert kind == (TensorProto.UINT8 if unsigned_left else TensorProto.INT8)
    assert len(zeros) > 20
    for found, wanted in zip(answers(made), answers(quantised), strict=True):
        assert np.array_equal(found, wanted)
        assert wanted.std() > 0


def test_a_session_with_an_int8_image_takes_one_in_uint8(quantised: bytes) -> None:
    made = with_int8_activations(quantised)
    assert made is not None
    image = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    before, after = map(as_written, (quantised, made))
    session = Int8Input.around(after)
    assert Int8Input.around(before) is before
    assert session.get_outputs()[0].name == before.get_outputs()[0].name
    wanted = before.run(None, {"image": image})
    for found, expected in zip(session.run(None, {"image": image}), wanted, strict=True):
        assert np.array_equal(found, expected)


def test_a_float_model_is_left_alone() -> None:
    network = define("mobilenet_v2", alpha=0.35, resolution=SIDE, classes=20)
    model = build_graph(network, FloatWriter(untrained(network), SCALING), background=False)
    assert with_int8_activations(model.SerializeToString()) is None


def changed(name: str, model: onnx.ModelProto) -> None:
    graph = model.graph
    last = next(node for node in reversed(graph.node) if node.op_type == "QuantizeLinear")
    if name == "integers are an output":
        graph.output.append(helper.make_tensor_value_info(last.output[0], TensorProto.UINT8, None))
    elif name == "integers are computed with":
        graph.node.append(helper.make_node("Cast", [last.output[0]], ["more"], to=1))
        graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))
    elif name == "a zero point is computed with":
        graph.node.append(helper.make_node("Cast", [last.input[2]], ["more"], to=1))
        graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))
    elif name == "types are stated":
        graph.value_info.append(
            helper.make_tensor_value_info(last.output[0], TensorProto.UINT8, None)
        )
    elif name == "no zero point":
        del last.input[2]
    elif name == "several zero points":
        [zero] = [tensor for tensor in graph.initializer if tensor.name == last.input[2]]
        zero.CopyFrom(numpy_helper.from_array(np.array([1], np.uint8), zero.name))


@pytest.mark.parametrize(
    "name",
    [
        "integers are an output",
        "integers are computed with",
        "a zero point is computed with",
        "types are stated",
        "no zero point",
        "several zero points",
    ],
)
def test_a_graph_with_anything_else_is_left_alone(name: str, quantised: bytes) -> None:
    model = onnx.load_from_string(quantised)
    changed(name, model)
    assert with_int8_activations(model.SerializeToString()) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0", b"\x3a\x7f"])
def test_what_is_no_model_is_left_alone(data: bytes) -> None:
    assert with_int8_activations(data) is None


def test_a_message_is_written_as_it_was_read(quantised: bytes) -> None:
    assert Message.parse(quantised).serialized() == quantised
    with pytest.raises(ValueError, match="cut off"):
        Message.parse(quantised[:-1])


@pytest.mark.parametrize(("added", "used"), [(0, True), (1_000_000, False)])
def test_other_answers_than_the_files_are_not_served(
    added: int,
    used: bool,
    quantised: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on ARM, with kernels that compute something else if `added` is not 0."""
    path = put_float(tmp_path)
    model = onnx.load_from_string(quantised)
    card = parse_card(read_metadata(path)[CARD_KEY])
    changes = {"precision": "int8", "precision_origin": "publisher_int8", "resolution": SIDE}
    helper.set_model_props(model, {CARD_KEY: card.model_copy(update=changes).model_dump_json()})
    onnx.save(model, path)
    helper.set_model_props(model, {"form": "int8"})
    for tensor in model.graph.initializer:
        if tensor.name == "classifier.bias":
            values = numpy_helper.to_array(tensor).copy()
            values += added
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    monkeypatch.setattr(graph_cache, "is_arm64_here", lambda: True)
    monkeypatch.setattr(graph_cache, "form_here", lambda *_: model.SerializeToString())
    session = graph_cache.new_session_here(path, memory_arena=False, threads=1)
    assert ("form" in session.get_modelmeta().custom_metadata_map) is used
    assert ("its form for this CPU gives other answers" in caplog.text) is not used
