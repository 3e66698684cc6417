"""An imported float graph as the family's own, so that what needs to know its layers can be done.

What exporters write of a MobileNet is the same convolutions in the same order, whatever their
names. They are put into the family's own graph, and that counts only if it gives the same answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from app.card.card import INPUT, PROBABILITIES, ModelCard
from models.checkpoints.checkpoint import Checkpoint, LayerWeights
from models.export.export import kernel_shapes, write_model
from models.export.exported import Exported, ForeignGraphError, read_exported
from models.export.graph import FloatWriter, InputScaling, build_graph
from models.files.onnx_file import read_model
from models.importing.graph.verify import TOLERANCE, Runner, largest_difference, noise
from models.importing.graph.wrap import REVERSE, TAKEN
from models.importing.recognize import DESIGNS
from models.network.design import define
from models.network.layers import Padding
from models.network.network import Network

Arrays = dict[str, NDArray[Any]]
PADS: dict[tuple[int, ...], Padding] = {(1, 1, 1, 1): "symmetric", (0, 0, 1, 1): "same"}


class UnknownLayersError(ValueError):
    """The layers of a graph cannot be told; the text says why."""


@contextmanager
def float_form(path: Path) -> Iterator[tuple[Exported, Path]]:
    """A float model of the store, taken apart, and a file of it whose layers have our names.

    Raises:
        OnnxFileError: it is not an ONNX file.
        NotExportedError: it is quantised already, or its layers cannot be told.
        CardError: the card in it is not valid.
    """
    try:
        found = read_exported(path)
    except ForeignGraphError as error:
        try:
            found = rebuild(read_model(path), error.card)
        except ValueError as reason:
            raise ForeignGraphError(error.card, str(reason)) from reason
    else:
        yield found, path
        return
    with TemporaryDirectory() as folder:
        writer = FloatWriter(found.checkpoint, found.scaling)
        graph = build_graph(found.network, writer, found.background)
        yield found, write_model(graph, Path(folder) / path.name)


def rebuild(model: onnx.ModelProto, card: ModelCard) -> Exported:
    """The network and the weights of an imported float graph, proven by its answers.

    Raises:
        ValueError: it is not the family's, scales pixels itself, or answers otherwise.
    """
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    weighted = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    weights = [_weights(node, constants) for node in weighted]
    network = _network(card, weighted, weights)
    clipped = sum(_is_relu6(node, constants) for node in model.graph.node)
    wanted = sum(getattr(node.layer, "activation", None) == "relu6" for node in network.nodes)
    if clipped != wanted:
        raise UnknownLayersError(f"it has {clipped} ReLU6, not {wanted}")
    scaling = _scaling(model.graph, constants)
    layers = dict(zip(kernel_shapes(network), weights, strict=True))
    first = next(iter(layers))
    kernel = layers[first].kernel
    if any(REVERSE in node.input for node in model.graph.node):
        kernel = kernel[:, ::-1]
    folded = LayerWeights(scaling.fold(kernel), layers[first].bias)
    found = Exported(
        card,
        network,
        Checkpoint(layers | {first: folded}),
        InputScaling(scaling.mean, (1 / 255,) * 3),
        background=len(weights[-1].bias) > len(card.labels),
    )
    _prove(model, found)
    return found


def _weights(node: onnx.NodeProto, constants: Arrays) -> LayerWeights:
    """Of a convolution, or of a linear layer as the 1x1 convolution that it is."""
    if node.input[1] not in constants:
        raise UnknownLayersError(f"the weights of {node.name or node.op_type} are not constants")
    kernel = constants[node.input[1]]
    if node.op_type == "Gemm":
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        kernel = (kernel if attributes.get("transB") else kernel.T)[:, :, None, None]
        if attributes.get("alpha", 1) != 1 or attributes.get("beta", 1) != 1:
            raise UnknownLayersError("its last layer is scaled")
    bias = np.zeros(len(kernel), np.float32)
    if len(node.input) > 2 and node.input[2]:
        bias = np.asarray(constants.get(node.input[2], bias), np.float32).reshape(-1)
    return LayerWeights(np.ascontiguousarray(kernel, np.float32), bias)


def _network(
    card: ModelCard, weighted: list[onnx.NodeProto], weights: list[LayerWeights]
) -> Network:
    """The family's network with just these layers."""
    if card.alpha is None or not weights:
        raise UnknownLayersError("it is not a MobileNetV1 or V2")
    pads = next((tuple(item.ints) for item in weighted[0].attribute if item.name == "pads"), ())
    if pads not in PADS:
        raise UnknownLayersError(f"its first layer pads {list(pads)}")
    shapes = [layer.kernel.shape for layer in weights]
    classes = shapes[-1][0]
    for family, design in DESIGNS:
        if family == card.family:
            network = define(family, card.alpha, card.resolution, classes, PADS[pads], design)
            if list(kernel_shapes(network).values()) == shapes:
                return network
    raise UnknownLayersError(f"its layers are not in the order of {card.family}")


def _is_relu6(node: onnx.NodeProto, constants: Arrays) -> bool:
    if node.op_type != "Clip" or len(node.input) != 3:
        return False
    bounds = [constants.get(name) for name in node.input[1:]]
    return [None if bound is None else float(bound) for bound in bounds] == [0, 6]


def _scaling(graph: onnx.GraphProto, constants: Arrays) -> InputScaling:
    """What the import put in front."""
    nodes = {node.output[0]: node for node in graph.node}
    try:
        operands = [constants[nodes[TAKEN + step].input[1]] for step in ("centred", "scaled")]
    except LookupError as error:
        raise UnknownLayersError("it scales pixels in its own way") from error
    mean, std = (np.broadcast_to(operand.reshape(-1), 3).tolist() for operand in operands)
    return InputScaling((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _prove(model: onnx.ModelProto, found: Exported) -> None:
    """Refuse a network that does not answer as the graph does."""
    writer = FloatWriter(found.checkpoint, found.scaling)
    ours = Runner(build_graph(found.network, writer, found.background))
    theirs = Runner(model)
    pixels = noise(found.card.resolution)
    expected = np.concatenate(
        [theirs.run([PROBABILITIES], **{INPUT: image[None]})[0] for image in pixels]
    )
    difference = largest_difference(ours, expected, pixels, together=True)
    if not difference <= TOLERANCE:
        raise UnknownLayersError(f"rebuilt from the family, its outputs differ by {difference:.2g}")
