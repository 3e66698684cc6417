"""The graphs that are written, layer by layer against plain NumPy."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from app.card.card import Family
from app.model.runtime import new_session
from models.checkpoints.checkpoint import (
    Affine,
    Checkpoint,
    LayerWeights,
    Quantization,
    QuantizedLayer,
)
from models.export.export import kernel_shapes, untrained
from models.export.graph import FloatWriter, InputScaling, QuantizedWriter, build_graph
from models.network.layers import Conv, GlobalPool, Linear, Padding
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from models.network.network import INPUT, Network
from tests.models import numpy_reference
from tests.models.numpy_reference import Array, softmax

Pixels = NDArray[np.uint8]
SCALING = InputScaling(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SYMMETRIC_RANGE = InputScaling(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES = 11
OUTPUTS = ["probabilities", "embedding", "logits", "features"]


def network_of(family: Family, padding: Padding) -> Network:
    if family == "mobilenet_v1":
        return mobilenet_v1(0.25, 96, CLASSES, padding)
    return mobilenet_v2(0.35, 96, CLASSES, padding=padding)


def with_biases(checkpoint: Checkpoint) -> Checkpoint:
    random = np.random.default_rng(1)
    return Checkpoint(
        {
            name: LayerWeights(
                layer.kernel, random.normal(0.2, 0.2, layer.bias.shape).astype(np.float32)
            )
            for name, layer in checkpoint.layers.items()
        }
    )


def photos(count: int = 2, side: int = 96) -> Pixels:
    return np.random.default_rng(2).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def normalised(pixels: Pixels, scaling: InputScaling) -> Array:
    scaled = (pixels / 255 - np.array(scaling.mean)) / np.array(scaling.std)
    return np.asarray(scaled.transpose(0, 3, 1, 2))


def outputs(model: onnx.ModelProto, names: list[str], pixels: Pixels) -> list[Array]:
    """Values of the named tensors, outputs of the graph or not."""
    watched = onnx.ModelProto.FromString(model.SerializeToString())
    known = {value.name for value in watched.graph.output}
    for name in names:
        if name not in known:
            value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            watched.graph.output.append(value)
    session = new_session(watched.SerializeToString())
    return list(session.run(names, {INPUT: pixels}))


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_every_layer_gives_what_numpy_gives(family: Family, padding: Padding) -> None:
    network = network_of(family, padding)
    checkpoint = with_biases(untrained(network))
    model = build_graph(network, FloatWriter(checkpoint, SCALING), background=False)
    names = [node.name for node in network.nodes[:-1]]
    reference = numpy_reference.run(network, checkpoint.layers, normalised(photos(), SCALING))
    for name, found in zip(names, outputs(model, names, photos()), strict=True):
        wanted = reference[name]
        assert found.shape == wanted.shape
        # float32 against float64, fifty layers deep
        assert np.abs(found - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max()), name


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("scaling", [SCALING, SYMMETRIC_RANGE], ids=["imagenet", "to 1"])
def test_scaling_inside_the_graph_is_scaling_outside_even_at_the_border(
    scaling: InputScaling, padding: Padding
) -> None:
    network = mobilenet_v1(1.0, 96, CLASSES, padding)
    checkpoint = with_biases(untrained(network))
    model = build_graph(network, FloatWriter(checkpoint, scaling), background=False)
    black = np.zeros((1, 96, 96, 3), np.uint8)  # as far from the zero of the padding as can be
    reference = numpy_reference.run(network, checkpoint.layers, normalised(black, scaling))
    [found] = outputs(model, ["Conv2d_0"], black)
    wanted = reference["Conv2d_0"]
    assert np.abs(found - wanted).max() <= 1e-5
    assert np.abs(wanted - wanted[:, :, 2:3, 2:3]).max() > 0.1  # the border is another colour


@pytest.mark.parametrize("background", [False, True])
def test_outputs_are_softmax_logits_and_features_pooled_and_unpooled(background: bool) -> None:
    network = network_of("mobilenet_v1", "same")
    checkpoint = with_biases(untrained(network))
    model = build_graph(network, FloatWriter(checkpoint, SCALING), background)
    assert [output.name for output in model.graph.output] == OUTPUTS
    probabilities, embedding, logits, features = outputs(model, OUTPUTS, photos())
    reference = numpy_reference.run(network, checkpoint.layers, normalised(photos(), SCALING))
    wanted = softmax(reference["classifier"][:, :, 0, 0])[:, int(background) :]
    assert probabilities.shape == (2, CLASSES - background)
    assert np.abs(probabilities - wanted).max() <= 1e-5
    assert np.allclose(embedding, reference["pool"][:, :, 0, 0], atol=1e-4)
    assert logits.shape == (2, CLASSES)
    assert np.abs(logits - reference["classifier"][:, :, 0, 0]).max() <= 1e-4
    assert features.shape == (2, 256, 3, 3)
    assert np.allclose(features, reference["Conv2d_13_pointwise"], atol=1e-4)


def test_a_plain_relu_has_no_upper_bound() -> None:
    network = Network("other", None, (3, 96, 96))
    network.add("conv", Conv(4, (3, 3), stride=2, activation="relu"))
    network.add("pool", GlobalPool())
    network.add("classifier", Linear(CLASSES))
    checkpoint = untrained(network)
    checkpoint = Checkpoint(
        {
            **checkpoint.layers,
            "conv": LayerWeights(
                10 * checkpoint.layers["conv"].kernel, checkpoint.layers["conv"].bias
            ),
        }
    )
    model = build_graph(network, FloatWriter(checkpoint, SCALING), background=False)
    [found] = outputs(model, ["conv"], photos())
    assert found.min() == 0
    assert found.max() > 6


def affine(values: Array) -> Affine:
    """uint8 over the range of some values, zero included."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = (high - low) / 255
    return Affine(scale, round(-low / scale))


def quantise(network: Network, checkpoint: Checkpoint, per_channel: bool) -> Quantization:
    """Integers for weights, and for activations in the range that two photos take."""
    values = numpy_reference.run(network, checkpoint.layers, normalised(photos(), SYMMETRIC_RANGE))
    activations = {name: affine(value) for name, value in values.items()}
    activations[INPUT] = Affine(2 / 255, 128)
    layers = {}
    for node in network.nodes:
        if not isinstance(node.layer, Conv | Linear):
            continue
        layer = checkpoint.layers[node.name]
        axes = (1, 2, 3) if per_channel else None
        scales = np.atleast_1d(np.abs(layer.kernel).max(axis=axes) / 127).astype(np.float32)
        layers[node.name] = QuantizedLayer(
            kernel=np.rint(layer.kernel / scales.reshape(-1, 1, 1, 1)).astype(np.int8),
            scales=scales,
            zero_points=np.zeros(scales.shape, np.int8),
            bias=np.rint(layer.bias / (activations[node.inputs[0]].scale * scales)).astype(
                np.int32
            ),
        )
    return Quantization(layers, activations)


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_the_integer_graph_follows_the_float_one(family: Family, per_channel: bool) -> None:
    network = network_of(family, "same")
    checkpoint = with_biases(untrained(network))
    quantization = quantise(network, checkpoint, per_channel)
    model = build_graph(network, QuantizedWriter(quantization), background=False)
    onnx.checker.check_model(model, full_check=True)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert {stored[f"{name}.weight"] for name in kernel_shapes(network)} == {TensorProto.INT8}
    first = network.nodes[0].name
    found_first, *found = outputs(model, [first, *OUTPUTS], photos())
    probabilities, embedding, logits, features = found
    reference = numpy_reference.run(
        network, checkpoint.layers, normalised(photos(), SYMMETRIC_RANGE)
    )
    # an 8-bit step of input, kernel and output each
    assert np.abs(found_first - reference[first]).max() < 0.1
    assert np.abs(softmax(logits) - probabilities).max() < 1e-6
    assert features.shape == reference[network.nodes[-3].name].shape
    # the pooled features are rounded to 8 bits once more
    step = quantization.activations["pool"].scale
    assert np.abs(features.mean(axis=(2, 3)) - embedding).max() <= 0.51 * step
    for found, wanted in zip(embedding, reference["pool"][:, :, 0, 0], strict=True):
        assert found @ wanted > 0.98 * np.linalg.norm(found) * np.linalg.norm(wanted)
