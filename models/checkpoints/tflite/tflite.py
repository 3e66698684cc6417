"""MobileNetV1 and V2 from TensorFlow Lite files, float32 or quantised to uint8 or int8.

What the published files hold (Google Coral's test data, TensorFlow's 2018 models), and what is
checked here (for the integers in `models.checkpoints.tflite.integers`):

- input scale 1/128 and zero point 128, so a pixel p stands for (p - 128) / 128; a float file
  expects p / 127.5 - 1 by convention, which no field of it says;
- ReLU6 is fused, and its output has scale 0.023528477, zero point 0: 255 stands for 5.99976, so
  saturating at 255 already is the clamp;
- pooling and reshaping keep scale and zero point; projections and residual sums have their own;
- SAME padding; the classifier is a 1x1 convolution with 1001 outputs, then reshape or squeeze, and
  softmax, whose output has scale 1/256;
- MobileNetV1 1.0 comes in two files, which meet between pooling and classifier with equal scale.

Today's converter takes the mean instead of pooling, may give it another scale, may put a QUANTIZE
before and behind to take and give uint8, and works out shapes where the batch is not fixed.
"""

from collections.abc import Sequence
from functools import reduce
from math import prod
from pathlib import Path

import numpy as np

from app.card.card import Family
from models.checkpoints.checkpoint import (
    WITH_WEIGHTS,
    Checkpoint,
    CheckpointError,
    LayerWeights,
    check_layers,
    errors_with_name,
    template,
)
from models.checkpoints.tflite.graph import Graph, Operator, Tensor, join, read_graph
from models.checkpoints.tflite.integers import is_quantized, quantized
from models.checkpoints.tflite.kernels import as_floats, kernel_and_bias, to_oihw, values_of
from models.checkpoints.tflite.scaling import without_scaling
from models.network.network import INPUT, Network, Node

RESHAPING = {"RESHAPE", "SQUEEZE"}
# what works out a shape of which the batch is not known yet
SHAPE_ARITHMETIC = {"SHAPE", "STRIDED_SLICE", "PACK"}
# what gives the answers of an int8 file as uint8 or as floats
CASTS = {"QUANTIZE", "DEQUANTIZE"}
OPERATORS = {
    "conv": {"CONV_2D"},
    "pointwise": {"CONV_2D"},
    "depthwise": {"DEPTHWISE_CONV_2D"},
    "add": {"ADD"},
    "global_pool": {"AVERAGE_POOL_2D", "MEAN"},
    "linear": {"CONV_2D", "FULLY_CONNECTED"},
}


def read(paths: Sequence[Path], family: Family, alpha: float = 1.0) -> Checkpoint:
    """Weights of a network in one file, or in several that feed each other in the order given.

    A quantised file gives its weights as floats, and the integers as `quantization`. `alpha` is a
    width with the same residual sums.

    Raises:
        CheckpointError: a file cannot be read, or is not a network of that family.
    """
    if not paths:
        raise CheckpointError("no file to read")
    network = template(family, alpha=alpha)
    graphs = [read_graph(path) for path in paths]
    with errors_with_name(", ".join(path.name for path in paths)):
        graph = reduce(join, graphs)
        operators, outputs = _Walk(graph).over(network)
        if is_quantized(graph.tensors[outputs[INPUT]]):
            checkpoint = quantized(graph, network, operators, outputs)
        else:
            checkpoint = _float(graph, operators)
        check_layers(checkpoint.layers, network)
    return checkpoint


class _Walk:
    """Goes through a graph's operators and holds each against the layer that has to be there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operators = list(graph.operators)
        self.reshaped: dict[int, int] = {}

    def over(self, network: Network) -> tuple[dict[str, Operator], dict[str, int]]:
        """Operator of each layer with weights, and tensor index of each layer's output."""
        outputs = {INPUT: self.entry()}
        operators = {}
        for node in network.nodes:
            operator = self.next(node.name, OPERATORS[node.layer.kind])
            self.check_sources(node.name, operator, [outputs[source] for source in node.inputs])
            self.check_options(node, operator)
            outputs[node.name] = operator.outputs[0]
            if node.layer.kind in WITH_WEIGHTS:
                operators[node.name] = operator
        softmax = self.next("probabilities", {"SOFTMAX"})
        self.check_sources("probabilities", softmax, [outputs[network.last]])
        if softmax.beta != 1 or not self.leads_out(softmax.outputs[0]):
            raise CheckpointError("does not end in a plain softmax")
        return operators, outputs

    def entry(self) -> int:
        """The tensor that the first layer sees: the input, as int8 or scaled if need be."""
        pixels = self.graph.input
        if self.operators and self.operators[0].kind == "QUANTIZE":
            first = self.operators.pop(0)
            if first.inputs[0] == pixels:
                pixels = self.signed(first)
        return without_scaling(self.graph, self.operators, pixels)

    def signed(self, operator: Operator) -> int:
        source, target = self.ends(operator)
        if source.dtype == np.float32:
            raise CheckpointError(
                "is quantised but takes floats; convert it with inference_input_type uint8 or int8"
            )
        if not _same_reals(source, target):
            raise CheckpointError(f"{target.name!r} changes the scale of {source.name!r}")
        return operator.outputs[0]

    def ends(self, operator: Operator) -> tuple[Tensor, Tensor]:
        """First input and first output."""
        return self.graph.tensors[operator.inputs[0]], self.graph.tensors[operator.outputs[0]]

    def leads_out(self, index: int) -> bool:
        """Whether a tensor is the output, but for its type, and nothing else is computed."""
        if self.operators and self.operators[0].kind in CASTS:
            cast = self.operators.pop(0)
            index = cast.outputs[0] if cast.inputs[0] == index else -1
        return index == self.graph.output and not self.operators

    def next(self, name: str, kinds: set[str]) -> Operator:
        """Take the next operator that computes something."""
        while self.operators:
            operator = self.operators.pop(0)
            if operator.kind in kinds:
                return operator
            if operator.kind in SHAPE_ARITHMETIC:
                continue
            if operator.kind not in RESHAPING:
                raise CheckpointError(
                    f"{name} is a {operator.kind}, not {' or '.join(sorted(kinds))}"
                )
            self.reshape(operator)
        raise CheckpointError(f"ends before {name}")

    def reshape(self, operator: Operator) -> None:
        source, target = operator.inputs[0], operator.outputs[0]
        before, after = self.ends(operator)
        if prod(before.shape) != prod(after.shape) or max(after.shape) != prod(after.shape):
            raise CheckpointError(f"{after.name!r} reshapes {before.shape} to {after.shape}")
        _check_same_scale(before, after)
        self.reshaped[target] = self.reshaped.get(source, source)

    def check_sources(self, name: str, operator: Operator, sources: list[int]) -> None:
        fed = [self.reshaped.get(index, index) for index in operator.inputs[: len(sources)]]
        if sorted(fed) != sorted(sources):
            raise CheckpointError(f"{name} is fed by another tensor than in the family")

    def check_options(self, node: Node, operator: Operator) -> None:
        activation = (getattr(node.layer, "activation", None) or "none").upper()
        wanted = ((node.layer.stride,) * 2, (1, 1), "SAME", activation)
        # a window of one pixel at stride 1 is never padded, whatever the file calls that
        plain = (node.layer.kernel, node.layer.stride) == ((1, 1), 1)
        padding = "SAME" if plain and operator.padding == "VALID" else operator.padding
        found = (operator.stride, operator.dilation, padding, operator.activation)
        if node.layer.kind == "global_pool":
            self.check_pool(node.name, operator)
        elif found != wanted:
            raise CheckpointError(f"{node.name} has {found}; in the family it has {wanted}")

    def check_pool(self, name: str, operator: Operator) -> None:
        """One window over the whole map, for which padding and stride have nothing to do."""
        source, target = self.ends(operator)
        if len(source.shape) != 4 or prod(target.shape) != source.shape[3]:
            raise CheckpointError(f"{name} makes {target.shape} of {source.shape}")
        if operator.kind == "AVERAGE_POOL_2D":
            if (operator.window, operator.activation) != (source.shape[1:3], "NONE"):
                raise CheckpointError(f"{name} sees {operator.window} of {source.shape}")
            _check_same_scale(source, target)


def _float(graph: Graph, operators: dict[str, Operator]) -> Checkpoint:
    layers = {}
    for name, operator in operators.items():
        kernel, bias = kernel_and_bias(graph, name, operator)
        values = to_oihw(as_floats(kernel), operator)
        shift = values_of(as_floats(bias)) if bias else np.zeros(len(values))
        layers[name] = LayerWeights(values, shift.astype(np.float32))
    return Checkpoint(layers)


def _check_same_scale(before: Tensor, after: Tensor) -> None:
    if (before.scales, before.zero_points) != (after.scales, after.zero_points):
        raise CheckpointError(f"{after.name!r} changes the scale of {before.name!r}")


def _same_reals(before: Tensor, after: Tensor) -> bool:
    """Whether int8 values stand for the reals of the uint8 values 128 above them."""
    moved = tuple(zero_point - 128 for zero_point in before.zero_points)
    types = (before.dtype, after.dtype) == (np.dtype(np.uint8), np.dtype(np.int8))
    return types and before.scales == after.scales and moved == after.zero_points
