"""Read a float file of this project back into the network and its weights.

Layers, connections, padding and activations are read from the graph, so everything that
`models.export.graph.FloatWriter` wrote can be read without its checkpoint.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from app.arrays import Float32Array
from app.card.card import CARD_KEY, ModelCard, parse_card
from models.checkpoints.checkpoint import Checkpoint, LayerWeights
from models.export.export import Recipe, check_weights
from models.export.graph import IMAGE_OFFSET, IMAGE_SCALED, InputScaling
from models.files.onnx_file import read_model
from models.network.layers import Add, Conv, GlobalPool, Linear, Nonlinearity, Padding, pads
from models.network.network import INPUT, Network

# By their number of inputs: max(x, 0) and min(max(x, 0), 6).
ACTIVATIONS: dict[int, Nonlinearity] = {2: "relu", 3: "relu6"}
WITHOUT_LAYER = {"Transpose", "Cast", "Sub", "Clip", "Flatten", "Identity", "Softmax", "Slice"}


class NotExportedError(ValueError):
    """A file is not a float model exported by this project; the text says why."""


class ForeignGraphError(NotExportedError):
    """An imported model has the graph of another exporter; the text says what to do instead."""

    def __init__(self, card: ModelCard, reason: str) -> None:
        super().__init__(
            f"the layers of {card.name} cannot be recognised ({reason}); import the weights that "
            "it was exported from (.pth, .safetensors, weights of Keras), or quantise it with "
            "onnxruntime's own tool and import the result"
        )
        self.card = card


@dataclass(frozen=True, slots=True)
class Exported:
    """The parts of a float model of the store.

    The first kernel of `checkpoint` expects pixels from which only the offset was subtracted:
    `scaling` has this offset as its mean, and a `std` that leaves the scale unchanged.
    """

    card: ModelCard
    network: Network
    checkpoint: Checkpoint
    scaling: InputScaling
    background: bool


def read_exported(path: Path) -> Exported:
    """Read the parts of a float file.

    Raises:
        OnnxFileError: it is not an ONNX file.
        NotExportedError: it is not a float export of this project.
        ForeignGraphError: it was imported with its graph.
        CardError: its card is not valid.
    """
    model = read_model(path)
    metadata = {item.key: item.value for item in model.metadata_props}
    if CARD_KEY not in metadata:
        raise NotExportedError(f"{path} has no model card, so this project did not export it")
    card = parse_card(metadata[CARD_KEY])
    if card.precision != "fp32":
        raise NotExportedError(f"{card.name} is already {card.precision}; a float model is needed")
    written_here = any(tensor.name == IMAGE_OFFSET for tensor in model.graph.initializer)
    if card.origin.kind == "imported" and not written_here:
        raise ForeignGraphError(card, "this project did not write it")
    return _Reader(model.graph, card).read()


def exported_form(recipe: Recipe, checkpoint: Checkpoint) -> Exported:
    """What `read_exported` reads from the float file of a checkpoint, without the file.

    Raises:
        ValueError: the weights do not fit the network.
    """
    network = recipe.network()
    check_weights(network, checkpoint)
    layers = dict(checkpoint.layers)
    [first] = [node.name for node in network.nodes if INPUT in node.inputs]
    layers[first] = replace(layers[first], kernel=recipe.scaling.fold(layers[first].kernel))
    scaling = _of_offset(recipe.scaling.offset)
    return Exported(recipe.card("fp32"), network, Checkpoint(layers), scaling, recipe.background)


def _of_offset(offset: Float32Array) -> InputScaling:
    """The scaling that subtracts an offset, in pixel values, and leaves the scale unchanged."""
    red, green, blue = offset.astype(np.float64).ravel() / 255
    return InputScaling(mean=(red, green, blue), std=(1 / 255,) * 3)


class _Reader:
    def __init__(self, graph: onnx.GraphProto, card: ModelCard) -> None:
        self.graph = graph
        self.card = card
        self.constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        self.clips = {node.input[0]: node for node in graph.node if node.op_type == "Clip"}
        self.weights: dict[str, LayerWeights] = {}
        side = card.resolution
        self.network = Network(card.family, card.alpha, (3, side, side))

    def read(self) -> Exported:
        for node in self.graph.node:
            if node.op_type not in WITHOUT_LAYER:
                self._add(node)
        return Exported(
            self.card,
            self.network,
            Checkpoint(self.weights),
            _of_offset(self._constant(IMAGE_OFFSET)),
            background=any(node.op_type == "Slice" for node in self.graph.node),
        )

    def _add(self, node: onnx.NodeProto) -> None:
        sources = [INPUT if name == IMAGE_SCALED else name for name in node.input]
        match node.op_type:
            case "Conv":
                self._keep_weights(node)
                self.network.add(node.name, self._conv(node), sources[0])
            case "Gemm":
                self._keep_weights(node)
                self.network.add(node.name, Linear(len(self.weights[node.name].bias)))
            case "Add":
                self.network.add(node.name, Add(), *sources)
            case "GlobalAveragePool":
                self.network.add(node.name, GlobalPool(), sources[0])
            case other:
                raise NotExportedError(
                    f"{self.card.name} has the operator {other}, "
                    "which is in no float export of this project"
                )

    def _keep_weights(self, node: onnx.NodeProto) -> None:
        kernel, bias = (self._constant(name) for name in node.input[1:3])
        window = kernel.shape[2:] or (1, 1)
        self.weights[node.name] = LayerWeights(kernel.reshape(*kernel.shape[:2], *window), bias)

    def _constant(self, name: str) -> Float32Array:
        if name not in self.constants:
            raise NotExportedError(f"{self.card.name} has no constant {name}")
        return self.constants[name]

    def _conv(self, node: onnx.NodeProto) -> Conv:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        clip = self.clips.get(node.output[0])
        return Conv(
            len(self.weights[node.name].bias),
            tuple(attributes["kernel_shape"]),
            stride=attributes["strides"][0],
            groups=attributes["group"],
            padding=_padding(node.name, attributes),
            activation=ACTIVATIONS[len(clip.input)] if clip else None,
        )


def _padding(name: str, attributes: dict[str, Any]) -> Padding:
    """The padding rule that gives these pads for an even number of pixels."""
    kernel, stride = attributes["kernel_shape"][0], attributes["strides"][0]
    found = attributes["pads"]
    for rule in ("symmetric", "same", "valid"):
        before, after = pads(2 * stride * kernel, kernel, stride, rule)
        if found == [before, before, after, after]:
            return rule
    raise NotExportedError(f"{name} has the pads {found}, which no rule of the family gives")
