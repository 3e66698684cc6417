"""The linear classifier at the end of a MobileNet: global pooling, then weights and a bias.

The map of a class is exact where a network ends like this (Zhou et al. 2016, section 2). What a
graph has instead is recognised by walking back from its scores, and `fits` holds what was found
against the graph's own answers.
"""

from dataclasses import dataclass

import numpy as np

from app.arrays import Array, Float32Array
from app.card.card import EMBEDDING, LOGITS, PROBABILITIES
from app.explain.onnx_graph import Node, OnnxGraph

# Nodes that leave values and their order alone; the transposes are around pooled features.
UNCHANGED = {
    "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Transpose",
    "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip
POOLING = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
SCORES = {"Softmax", "Sigmoid", "Slice", "Gather"}
FLOAT_TOLERANCE, INT8_TOLERANCE = 1e-3, 0.03  # of the range of the logits


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a quantised classifier rounds the pooled features: uint8 or int8."""

    scale: float
    zero: int
    minimum: int
    maximum: int

    def __call__(self, values: Float32Array) -> Float32Array:
        levels = np.rint(values / np.float32(self.scale)) + self.zero
        levels = levels.clip(self.minimum, self.maximum)
        rounded: Float32Array = ((levels - self.zero) * self.scale).astype(np.float32)
        return rounded


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Logits of pooled features: `weights` [outputs, channels] and `bias` [outputs]."""

    weights: Float32Array
    bias: Float32Array
    rounding: Rounding | None = None

    def seen(self, pooled: Float32Array) -> Float32Array:
        """Pooled features [channels] as the classifier takes them."""
        return self.rounding(pooled) if self.rounding else pooled

    def output_of(self, class_id: int, classes: int) -> int:
        """The output of a class; the background comes before the others, `unknown` has none."""
        return class_id + max(len(self.bias) - classes, 0)

    def fits(self, pooled: Float32Array, logits: Float32Array) -> bool:
        """Whether it gives these logits [outputs] of these pooled features [channels]."""
        if pooled.shape != self.weights.shape[1:] or logits.shape != self.bias.shape:
            return False
        found = self.weights @ self.seen(pooled) + self.bias
        tolerance = INT8_TOLERANCE if self.rounding else FLOAT_TOLERANCE
        spread = max(float(np.ptp(logits)), float(abs(logits).max()), 1e-6)
        return bool(abs(found - logits).max() <= tolerance * spread)


def find_linear_head(graph: OnnxGraph) -> LinearHead | None:
    """The linear classifier of a graph of the model store; None if it ends in another way."""
    scores = LOGITS if graph.maker(LOGITS) else PROBABILITIES
    node, _ = _walk(graph, scores, UNCHANGED | SCORES)
    bias: Array | None = None
    if node is not None and node.op == "Add":
        bias = _first_constant(graph, node)
        node, _ = _walk(graph, _first_variable(graph, node), UNCHANGED)
    if node is None:
        return None
    found = _weights(graph, node)
    if found is None:
        return None
    weights, own_bias = found
    bias = own_bias if bias is None else bias
    # TensorFlow Lite's rounding of the mean is written as an addition
    pooling, rounding = _walk(graph, node.inputs[0], UNCHANGED | {"Add"})
    pools = pooling is not None and pooling.op in POOLING
    if weights.ndim != 2 or not pools:
        return None
    whole = np.zeros(len(weights)) if bias is None else bias.reshape(-1)
    if whole.shape != weights.shape[:1]:
        return None
    return LinearHead(weights.astype(np.float32), whole.astype(np.float32), rounding)


def _walk(graph: OnnxGraph, value: str, through: set[str]) -> tuple[Node | None, Rounding | None]:
    """The first node before a value that is none of `through`, and how it is rounded between."""
    rounding = None
    while (node := graph.maker(value)) is not None and node.op in through:
        if node.op == "QuantizeLinear":
            rounding = _rounding(graph, node)
        value = node.inputs[0]
    return node, rounding


def _rounding(graph: OnnxGraph, node: Node) -> Rounding | None:
    scale, zero = (*map(graph.constant, node.inputs[1:]), np.zeros(1, np.uint8))[:2]
    if scale is None or zero is None or scale.size != 1:
        return None
    limits = np.iinfo(np.int8 if zero.dtype == np.int8 else np.uint8)
    return Rounding(float(scale.item()), int(zero.item()), limits.min, limits.max)


def _weights(graph: OnnxGraph, node: Node) -> tuple[Array, Array | None] | None:
    """Weights [outputs, channels] and bias of a Gemm, a MatMul or a convolution of one pixel."""
    constants = [graph.constant(name) for name in node.inputs[1:]]
    if not constants or constants[0] is None or node.op not in ("Gemm", "MatMul", "Conv"):
        return None
    weights, bias = constants[0], constants[1] if len(constants) > 1 else None
    if node.op == "Conv":
        one_pixel = weights.ndim == 4 and weights.shape[2:] == (1, 1)
        return (weights[:, :, 0, 0], bias) if one_pixel else None
    turned = node.op == "Gemm" and node.numbers.get("transB", 0)
    return weights if turned else weights.T, bias


def _first_constant(graph: OnnxGraph, node: Node) -> Array | None:
    found = [graph.constant(name) for name in node.inputs]
    return next((one for one in found if one is not None), None)


def _first_variable(graph: OnnxGraph, node: Node) -> str:
    variables = [name for name in node.inputs if graph.constant(name) is None]
    return variables[0] if variables else EMBEDDING
