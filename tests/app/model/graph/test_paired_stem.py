"""A quantised graph with a paired stem has the answers of the file, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.card.card import CARD_KEY, Resolutions, parse_card
from app.model import graph_cache
from app.model.graph.int8_activations import Int8Input, with_int8_activations
from app.model.graph.paired_stem import with_paired_stem
from app.system.cpu import saturates_here
from models.export.export import read_metadata, untrained
from models.export.graph import FloatWriter, InputScaling, QuantizedWriter, build_graph
from models.network.design import define
from models.recommendation.probe import _random_integers
from tests.app.model.stored_forms import put_float

RESOLUTIONS = Resolutions(minimum=64, maximum=96, step=32)
SCALING = InputScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def quantised() -> onnx.ModelProto:
    network = define("mobilenet_v2", alpha=0.35, resolution=96, classes=20)
    integers = _random_integers(network)
    if saturates_here():  # sums of two products with weights up to 64 are exact on every CPU
        np.floor_divide(integers.layers["stem"].kernel, 2, out=integers.layers["stem"].kernel)
    return build_graph(network, QuantizedWriter(integers), background=False)


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same reals, with a zero point that is not 0."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in made.graph.initializer:
        if tensor.name in ("stem.weight", "stem.weight_zero"):
            values = numpy_helper.to_array(tensor).astype(np.int16) + 128
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.uint8), tensor.name))
    return made


def with_pads_of_tensorflow(model: onnx.ModelProto) -> onnx.ModelProto:
    """Padding at the right and below, where the exporter of this network pads on all sides."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    attributes = {one.name: one for one in stem_of(made).attribute}
    attributes["pads"].ints[:] = [0, 0, 1, 1]
    return made


def stem_of(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "Conv")


def answers(model: bytes, image: np.ndarray, *, optimised: bool) -> list[np.ndarray]:
    """By kernels of integers, or by those of floats, whose sums depend on their order."""
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(Int8Input.around(session).run(None, {"image": image}))


@pytest.mark.parametrize("changed", [None, with_unsigned_weights, with_pads_of_tensorflow])
def test_all_outputs_stay_equal(
    changed: Callable[[onnx.ModelProto], onnx.ModelProto] | None, quantised: onnx.ModelProto
) -> None:
    before = changed(quantised) if changed else quantised
    made = with_paired_stem(before.SerializeToString(), RESOLUTIONS)
    assert made is not None
    after = onnx.load_from_string(made)
    onnx.checker.check_model(after, full_check=True)
    attributes = {one.name: list(one.ints) for one in stem_of(after).attribute}
    assert (attributes["kernel_shape"], attributes["strides"]) == ([3, 5], [2, 4])
    signed = with_int8_activations(made)
    assert (signed is None) is (changed is with_unsigned_weights)
    draw = np.random.default_rng(0)
    for side in (64, 96):
        image = draw.integers(0, 256, (3, side, side, 3), np.uint8)
        image[1], image[2] = 0, 255
        wanted = answers(before.SerializeToString(), image, optimised=True)
        assert all(one.std() > 0 for one in wanted)
        assert all(map(np.array_equal, answers(made, image, optimised=True), wanted))
        if signed:
            wanted = answers(made, image, optimised=False)
            assert all(map(np.array_equal, answers(signed, image, optimised=False), wanted))


def test_the_optimised_graph_moves_nothing_for_it(
    quantised: onnx.ModelProto, tmp_path: Path
) -> None:
    """The transposes around the reshape cancel out with those of the layers."""
    before = quantised.SerializeToString()
    kinds = []
    for number, model in enumerate((before, with_paired_stem(before, RESOLUTIONS))):
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{number}.onnx")
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / f"{number}.onnx").graph.node
        kinds.append(sorted(node.op_type for node in nodes))
    assert kinds[1] == sorted([*kinds[0], "Reshape"])


def test_a_float_model_is_left_alone() -> None:
    network = define("mobilenet_v2", alpha=0.25, resolution=96, classes=20)
    model = build_graph(network, FloatWriter(untrained(network), SCALING), background=False)
    assert with_paired_stem(model.SerializeToString(), RESOLUTIONS) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0", b"\x3a\x7f"])
def test_what_is_no_model_is_left_alone(data: bytes) -> None:
    assert with_paired_stem(data, RESOLUTIONS) is None


@pytest.mark.parametrize(
    "resolutions",
    [
        Resolutions(minimum=64, maximum=96, step=2),
        Resolutions(minimum=62, maximum=62, step=1),
    ],
)
def test_rows_that_are_no_pairs_are_left_alone(
    resolutions: Resolutions, quantised: onnx.ModelProto
) -> None:
    assert with_paired_stem(quantised.SerializeToString(), resolutions) is None


def changed_by(name: str, model: onnx.ModelProto) -> None:
    graph, stem = model.graph, stem_of(model)
    attributes = {one.name: one for one in stem.attribute}
    quantise = next(node for node in graph.node if list(node.input[:1]) == list(stem.output))
    tensors = {tensor.name: tensor for tensor in graph.initializer}

    def read(tensor: str) -> None:
        graph.node.append(helper.make_node("Cast", [tensor], ["more"], to=TensorProto.FLOAT))
        graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))

    if name == "another stride":
        attributes["strides"].ints[:] = [1, 1]
    elif name == "dilated":
        stem.attribute.append(helper.make_attribute("dilations", [2, 2]))
    elif name == "padded automatically":
        del attributes["pads"].ints[:]
        stem.attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER"))
    elif name == "without a bias":
        del stem.input[2]
    elif name == "shapes are stated":
        graph.value_info.append(
            helper.make_tensor_value_info(stem.output[0], TensorProto.FLOAT, None)
        )
    elif name == "an output by channel":
        scale = tensors[quantise.input[1]]
        values = np.repeat(numpy_helper.to_array(scale), tensors["stem.weight"].dims[0])
        scale.CopyFrom(numpy_helper.from_array(values, scale.name))
    elif name == "products that overflow":
        values = numpy_helper.to_array(tensors["stem.weight"]).copy()
        values[0, 0, 0, 0] = -128
        tensors["stem.weight"].CopyFrom(numpy_helper.from_array(values, "stem.weight"))
    elif name == "weights in a list":
        weight = tensors["stem.weight"]
        values = numpy_helper.to_array(weight)
        weight.ClearField("raw_data")
        weight.int32_data.extend(values.ravel().tolist())
    else:
        read({"the image": "image", "the output": stem.output[0]}.get(name, name))


@pytest.mark.parametrize(
    "name",
    [
        "another stride",
        "dilated",
        "padded automatically",
        "without a bias",
        "shapes are stated",
        "an output by channel",
        "products that overflow",
        "weights in a list",
        "the image",
        "the output",
        "stem.weight",
        "stem.bias_scale",
    ],
)
def test_a_graph_with_anything_else_is_left_alone(name: str, quantised: onnx.ModelProto) -> None:
    model = onnx.ModelProto.FromString(quantised.SerializeToString())
    changed_by(name, model)
    assert with_paired_stem(model.SerializeToString(), RESOLUTIONS) is None


@pytest.mark.parametrize(
    ("prefers_int8", "kind"), [(False, TensorProto.UINT8), (True, TensorProto.INT8)]
)
def test_on_arm_a_quantised_model_has_a_paired_stem(
    prefers_int8: bool,
    kind: int,
    quantised: onnx.ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With int8 activations or without."""
    card = parse_card(read_metadata(put_float(tmp_path))[CARD_KEY])
    monkeypatch.setattr(graph_cache, "prefers_int8_here", lambda: prefers_int8)
    model = quantised.SerializeToString()
    assert graph_cache.form_here(model, card) is None
    made = graph_cache.form_here(model, card.model_copy(update={"precision": "int8"}))
    assert made is not None
    form = onnx.load_from_string(made)
    assert form.graph.input[0].type.tensor_type.elem_type == kind
    assert [3, 5] in [list(one.ints) for one in stem_of(form).attribute]
