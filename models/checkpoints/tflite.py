"""MobileNetV1 and V2 from TensorFlow Lite files, float32 or quantised to uint8.

What the published files hold (Google Coral's test data, TensorFlow's 2018 models), and what is
checked here:

- one scale and zero point a tensor, activations and weights uint8, bias int32;
- input scale 1/128 and zero point 128, so a pixel p stands for (p - 128) / 128; a float file
  expects p / 127.5 - 1 by convention, which no field of it says;
- ReLU6 is fused, and its output has scale 0.023528477, zero point 0: 255 stands for 5.99976, so
  saturating at 255 already is the clamp;
- pooling and reshaping keep scale and zero point; projections and residual sums have their own;
- SAME padding; the classifier is a 1x1 convolution with 1001 outputs, then reshape or squeeze, and
  softmax, whose output has scale 1/256;
- MobileNetV1 1.0 comes in two files, which meet between pooling and classifier with equal scale.
"""

from collections.abc import Sequence
from functools import reduce
from math import isclose, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.card import Family
from models.checkpoints.canonical import (
    WITH_WEIGHTS,
    Affine,
    Checkpoint,
    CheckpointError,
    LayerWeights,
    Quantization,
    QuantizedLayer,
    check_layers,
    template,
)
from models.checkpoints.tflite_graph import Graph, Operator, Tensor, join, read_graph
from models.network import INPUT, Network, Node

RESHAPING = {"RESHAPE", "SQUEEZE"}
OPERATORS = {
    "conv": {"CONV_2D"},
    "pointwise": {"CONV_2D"},
    "depthwise": {"DEPTHWISE_CONV_2D"},
    "add": {"ADD"},
    "global_pool": {"AVERAGE_POOL_2D", "MEAN"},
    "linear": {"CONV_2D", "FULLY_CONNECTED"},
}
# axes of each operator's kernel in the order output, input, height, width
KERNEL_AXES = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}
INT8_SHIFT = 128
SCALE_TOLERANCE = 1e-5


def read(paths: Sequence[Path], family: Family) -> Checkpoint:
    """Weights of a network in one file, or in several that feed each other in the order given.

    A quantised file gives its weights as floats, and the integers as `quantization`: kernels move
    from uint8 to int8 by 128, zero point too, which changes no value.

    Raises:
        CheckpointError: a file cannot be read, or is not a network of that family.
    """
    if not paths:
        raise CheckpointError("no file to read")
    network = template(family)
    graphs = [read_graph(path) for path in paths]
    try:
        graph = reduce(join, graphs)
        operators, outputs = _Walk(graph).over(network)
        quantized = graph.tensors[graph.input].dtype == np.uint8
        checkpoint = (
            _quantized(graph, operators, outputs) if quantized else _float(graph, operators)
        )
        check_layers(checkpoint.layers, network)
    except CheckpointError as error:
        names = ", ".join(path.name for path in paths)
        raise CheckpointError(f"{names}: {error}") from error
    return checkpoint


class _Walk:
    """Goes through a graph's operators and holds each against the layer that has to be there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operators = list(graph.operators)
        self.reshaped: dict[int, int] = {}

    def over(self, network: Network) -> tuple[dict[str, Operator], dict[str, int]]:
        """Operator of each layer with weights, and tensor index of each layer's output."""
        outputs = {INPUT: self.graph.input}
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
        if softmax.beta != 1 or softmax.outputs[0] != self.graph.output or self.operators:
            raise CheckpointError("does not end in a plain softmax")
        return operators, outputs

    def next(self, name: str, kinds: set[str]) -> Operator:
        """Take the next operator that computes something."""
        while self.operators:
            operator = self.operators.pop(0)
            if operator.kind in kinds:
                return operator
            if operator.kind not in RESHAPING:
                raise CheckpointError(
                    f"{name} is a {operator.kind}, not {' or '.join(sorted(kinds))}"
                )
            self.reshape(operator)
        raise CheckpointError(f"ends before {name}")

    def reshape(self, operator: Operator) -> None:
        source, target = operator.inputs[0], operator.outputs[0]
        before, after = self.graph.tensors[source], self.graph.tensors[target]
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
        found = (operator.stride, operator.dilation, operator.padding, operator.activation)
        if node.layer.kind == "global_pool":
            self.check_pool(node.name, operator)
        elif found != wanted:
            raise CheckpointError(f"{node.name} has {found}; in the family it has {wanted}")

    def check_pool(self, name: str, operator: Operator) -> None:
        """One window over the whole map, for which padding and stride have nothing to do."""
        source, target = (
            self.graph.tensors[index] for index in (operator.inputs[0], operator.outputs[0])
        )
        if len(source.shape) != 4 or prod(target.shape) != source.shape[3]:
            raise CheckpointError(f"{name} makes {target.shape} of {source.shape}")
        if operator.kind == "AVERAGE_POOL_2D":
            if (operator.window, operator.activation) != (source.shape[1:3], "NONE"):
                raise CheckpointError(f"{name} sees {operator.window} of {source.shape}")
            _check_same_scale(source, target)


def _float(graph: Graph, operators: dict[str, Operator]) -> Checkpoint:
    layers = {}
    for name, operator in operators.items():
        kernel, bias = _constants(graph, name, operator)
        for tensor in (kernel, bias):
            if tensor.dtype != np.float32:
                raise CheckpointError(f"{tensor.name!r} is {tensor.dtype} in a float32 file")
        layers[name] = LayerWeights(_to_oihw(kernel, operator), _values(bias).astype(np.float32))
    return Checkpoint(layers)


def _quantized(graph: Graph, operators: dict[str, Operator], outputs: dict[str, int]) -> Checkpoint:
    activations = {name: _affine(graph.tensors[index]) for name, index in outputs.items()}
    layers, integers = {}, {}
    for name, operator in operators.items():
        kernel, bias = _constants(graph, name, operator)
        affine = _affine(kernel)
        source = _affine(graph.tensors[operator.inputs[0]])
        _check_bias(bias, source.scale * affine.scale)
        stored = _to_oihw(kernel, operator).astype(np.int16)
        integers[name] = QuantizedLayer(
            kernel=(stored - INT8_SHIFT).astype(np.int8),
            scales=np.array([affine.scale], np.float32),
            zero_points=np.array([affine.zero_point - INT8_SHIFT], np.int8),
            bias=_values(bias).astype(np.int32),
        )
        layers[name] = LayerWeights(
            kernel=((stored - affine.zero_point) * np.float64(affine.scale)).astype(np.float32),
            bias=(_values(bias) * np.float64(bias.scales[0])).astype(np.float32),
        )
    return Checkpoint(layers, Quantization(integers, activations))


def _constants(graph: Graph, name: str, operator: Operator) -> tuple[Tensor, Tensor]:
    """Kernel and bias of an operator."""
    if len(operator.inputs) != 3 or min(operator.inputs) < 0:
        raise CheckpointError(f"{name} does not have a kernel and a bias")
    kernel, bias = (graph.tensors[index] for index in operator.inputs[1:])
    if len(bias.shape) != 1:
        raise CheckpointError(f"{bias.name!r} has shape {bias.shape}")
    return kernel, bias


def _to_oihw(kernel: Tensor, operator: Operator) -> NDArray[Any]:
    """Values as [out, in / groups, height, width]; depthwise ones come as [1, h, w, channels]."""
    values = _values(kernel)
    if operator.kind == "FULLY_CONNECTED" and values.ndim == 2:
        return values[:, :, None, None]
    if values.ndim != 4:
        raise CheckpointError(f"{kernel.name!r} has shape {kernel.shape}")
    return np.ascontiguousarray(values.transpose(KERNEL_AXES[operator.kind]))


def _values(tensor: Tensor) -> NDArray[Any]:
    if tensor.values is None:
        raise CheckpointError(f"{tensor.name!r} has no values")
    return tensor.values


def _affine(tensor: Tensor) -> Affine:
    if tensor.dtype != np.uint8 or len(tensor.scales) != 1:
        raise CheckpointError(f"{tensor.name!r} is not uint8 with one scale")
    [zero_point] = tensor.zero_points
    if not 0 <= zero_point <= 255:
        raise CheckpointError(f"{tensor.name!r} has zero point {zero_point}")
    return Affine(tensor.scales[0], zero_point)


def _check_bias(bias: Tensor, scale: float) -> None:
    if bias.dtype != np.int32 or bias.zero_points != (0,):
        raise CheckpointError(f"{bias.name!r} is not int32 with one scale and zero point 0")
    if not isclose(bias.scales[0], scale, rel_tol=SCALE_TOLERANCE):
        raise CheckpointError(f"{bias.name!r} has scale {bias.scales[0]:g}, not {scale:g}")


def _check_same_scale(before: Tensor, after: Tensor) -> None:
    if (before.scales, before.zero_points) != (after.scales, after.zero_points):
        raise CheckpointError(f"{after.name!r} changes the scale of {before.name!r}")
