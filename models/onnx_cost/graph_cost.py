"""The cost of any ONNX classifier, read from its graph alone.

Independent of `models.network.cost`, which walks our own definitions: here the shapes come from
ONNX shape inference and the weights from the initialisers, so a third-party file has costs too.
Counted are Conv, ConvInteger, QLinearConv, Gemm, MatMul (and its integer forms) with a constant
second operand, and a constant that is added right behind them is their bias; `weights`, `biases`
and `madds` count as in `app.card.card.Cost`. Scales and zero points of a quantised
file are not parameters. Operators of onnxruntime's quantiser count as the standard ones that they
stand for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper, shape_inference

from app.card.card import Cost, LayerRow
from models.files.onnx_file import read_model
from models.network.cost import Use, peak_bytes, stored_params
from models.onnx_cost.quantized_ops import standardise

CONVOLUTIONS = {"Conv": (1, 2), "ConvInteger": (1, None), "QLinearConv": (3, 8)}
MATRICES = {
    "Gemm": (1, 2),
    "MatMul": (1, None),
    "MatMulInteger": (1, None),
    "QLinearMatMul": (3, None),
}
POOLS = {
    "GlobalAveragePool": "global_pool",
    "AveragePool": "avg_pool",
    "MaxPool": "max_pool",
    "Concat": "concat",
}
# Their output is another view of their input, or can be written over it.
SAME_STORE = {
    "BatchNormalization", "Cast", "Clip", "DequantizeLinear", "Dropout", "Flatten", "HardSwish",
    "Identity", "Mul", "QuantizeLinear", "Relu", "Reshape", "Squeeze", "Sub", "Transpose",
    "Unsqueeze", "Div",
}  # fmt: skip
MOST_SIDE = 2048
QUANTIZING = {"QuantizeLinear", "DequantizeLinear"}
# What comes of a type, an attribute or an output that there is not; shape inference lets them pass.
DAMAGE = (IndexError, KeyError, TypeError, ValueError)


class GraphCostError(ValueError):
    """The cost of a graph cannot be told; the text says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Shape and element size of a value in the graph."""

    shape: tuple[int, ...]
    element_bytes: int

    @property
    def feature_map(self) -> tuple[int, int, int]:
        """(channels, height, width), whether the value is a map [1, C, H, W] or flat [1, C]."""
        _, channels, height, width = (*self.shape, 1, 1, 1, 1)[:4]
        return channels, height, width


def graph_cost(model: onnx.ModelProto | Path, resolution: int | None = None) -> Cost:
    """Cost of a graph for one image, symbolic height and width replaced by `resolution`.

    Raises:
        GraphCostError: there is no single image input, a shape stays unknown, it is damaged, or
            no image has that size.
        OnnxFileError: the path leads to no readable ONNX file.
    """
    if resolution is not None:
        check_side(resolution)
    own = read_model(model) if isinstance(model, Path) else onnx.ModelProto()
    if not isinstance(model, Path):
        own.CopyFrom(model)
    _fix_input(own.graph, resolution)
    standardise(own.graph)
    try:
        inferred = shape_inference.infer_shapes(own, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise GraphCostError(f"shape inference failed: {error}") from error
    try:
        return _Walk(inferred.graph).cost()
    except GraphCostError:
        raise
    except DAMAGE as error:
        raise GraphCostError(f"the graph is damaged: {error}") from error


def check_side(side: int) -> None:
    """Refuse a resolution that no image of a classifier has.

    Raises:
        GraphCostError: it is not from 1 to MOST_SIDE.
    """
    if not 1 <= side <= MOST_SIDE:
        raise GraphCostError(f"resolution is {side}; it has to be from 1 to {MOST_SIDE}")


class _Walk:
    """One pass over the nodes of a graph whose shapes are known."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.tensors = _tensors(graph)
        self.constants = constants(graph)
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.store = self._stores()
        self.sharing: dict[str, list[str]] = {}  # the values of each store
        for value, store in self.store.items():
            self.sharing.setdefault(store, []).append(value)
        quantizing = [node for node in graph.node if node.op_type in QUANTIZING]
        self.quantized = {name for node in quantizing for name in (node.input[0], node.output[0])}

    def cost(self) -> Cost:
        rows = [row for node in self.graph.node if (row := self._row(node))]
        madds = sum(row.madds for row in rows)
        params = sum(row.weights + row.biases + row.batch_norm_params for row in rows)
        saved_params, saved_madds = self._standard_surplus(rows)
        return Cost(
            params=params,
            stored_params=sum(map(stored_params, rows)),
            madds=madds,
            classifier_madds=_classifier_madds(rows),
            peak_activation_bytes=self._peak(),
            standard_params=params + saved_params,
            standard_madds=madds + saved_madds,
            layers=tuple(rows),
        )

    def _row(self, node: NodeProto) -> LayerRow | None:
        if node.op_type in CONVOLUTIONS:
            return self._weighted(node, *CONVOLUTIONS[node.op_type])
        if node.op_type in MATRICES and node.input[MATRICES[node.op_type][0]] in self.constants:
            return self._weighted(node, *MATRICES[node.op_type])
        if node.op_type == "Add" and self.constants.isdisjoint(node.input):
            return self._free(node, "add")
        if node.op_type == "ReduceMean" and len(self.tensors[node.input[0]].shape) == 4:
            return self._free(node, "global_pool")
        if node.op_type in POOLS:
            return self._free(node, POOLS[node.op_type])
        return None

    def _weighted(self, node: NodeProto, kernel_at: int, bias_at: int | None) -> LayerRow:
        kernel = self.tensors[node.input[kernel_at]].shape
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        source, output = self.tensors[node.input[0]], self.tensors[node.output[0]]
        groups = attributes.get("group", 1)
        window = (kernel[2], kernel[3]) if len(kernel) == 4 else (1, 1)
        positions = prod(output.shape[2:])
        if node.op_type in MATRICES:
            kind = "linear"
            positions = prod(output.shape[:-1])
        elif groups > 1 and groups == output.feature_map[0]:
            kind = "depthwise"
        else:
            kind = "pointwise" if window == (1, 1) else "conv"
        return LayerRow(
            name=node.name or node.output[0],
            kind=kind,
            input_shape=source.feature_map,
            output_shape=output.feature_map,
            kernel=window,
            stride=attributes.get("strides", [1])[0],
            groups=groups,
            weights=prod(kernel),
            biases=self._biases(node, bias_at),
            batch_norm_params=self._batch_norm_params(node),
            madds=prod(kernel) * positions,
            activation_bytes=self._held_bytes(node.output[0]),
        )

    def _free(self, node: NodeProto, kind: str) -> LayerRow:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        window = attributes.get("kernel_shape", [1, 1])
        return LayerRow(
            name=node.name or node.output[0],
            kind=kind,
            input_shape=self.tensors[node.input[0]].feature_map,
            output_shape=self.tensors[node.output[0]].feature_map,
            kernel=(window[0], window[1]),
            stride=attributes.get("strides", [1])[0],
            groups=1,
            weights=0,
            biases=0,
            batch_norm_params=0,
            madds=0,
            activation_bytes=self._held_bytes(node.output[0]),
        )

    def _biases(self, node: NodeProto, bias_at: int | None) -> int:
        """Size of the node's own bias and of what an Add right behind it brings.

        Between the two may stand what rounds the product or, if it is an integer, makes it float.
        """
        biases = list(node.input[bias_at : bias_at + 1]) if bias_at else []
        followers = self.readers.get(node.output[0], [])
        between = QUANTIZING | ({"Cast", "Mul"} if node.op_type.endswith("Integer") else set())
        while followers and followers[0].op_type in between:
            followers = self.readers.get(followers[0].output[0], [])
        for follower in followers:
            if follower.op_type == "Add":
                biases += [name for name in follower.input if name in self.constants]
        return sum(prod(self.tensors[name].shape) for name in biases if name)

    def _batch_norm_params(self, node: NodeProto) -> int:
        """Scale and shift of a batch norm that follows unfolded."""
        followers = [follower.op_type for follower in self.readers.get(node.output[0], [])]
        channels, _, _ = self.tensors[node.output[0]].feature_map
        return 2 * channels * followers.count("BatchNormalization")

    def _stores(self) -> dict[str, str]:
        """The store behind every value that is not a constant."""
        store = {value.name: value.name for value in self.graph.input}
        for node in self.graph.node:
            if node.output[0] in self.constants:
                continue
            sources = [name for name in node.input if name in store]
            shared = node.op_type in SAME_STORE or (node.op_type == "Add" and sources)
            store.update({name: name for name in node.output if name})
            if shared and sources:
                store[node.output[0]] = store[sources[0]]
        return store

    def _held_bytes(self, name: str) -> int:
        """Bytes of a value's store: quantised if it is quantised anywhere, else at its widest."""
        same = self.sharing[self.store[name]]
        widths = [self.tensors[value].element_bytes for value in same]
        rounded = not self.quantized.isdisjoint(same)
        return prod(self.tensors[name].shape) * (min(widths) if rounded else max(widths))

    def _peak(self) -> int:
        uses = []
        for node in self.graph.node:
            if node.output[0] not in self.store:
                continue
            reads = tuple(self.store[name] for name in node.input if name in self.store)
            output = node.output[0]
            uses.append(Use(reads, self.store[output], self._held_bytes(output)))
        held = {value.name: self._held_bytes(value.name) for value in self.graph.input}
        return peak_bytes(uses, held)

    def _standard_surplus(self, rows: list[LayerRow]) -> tuple[int, int]:
        """Parameters and MAdds that standard convolutions would take on top.

        A depthwise convolution followed by a pointwise one stands for a single convolution with
        the kernel of the first and the channels of the second; its own bias and batch norm go.
        """
        params = madds = 0
        for depthwise, pointwise in pairwise(rows):
            if depthwise.kind != "depthwise" or pointwise.kind != "pointwise":
                continue
            weights = pointwise.weights * prod(depthwise.kernel)
            _, height, width = depthwise.output_shape
            params += weights - pointwise.weights - depthwise.weights
            params -= depthwise.biases + depthwise.batch_norm_params
            madds += weights * height * width - depthwise.madds - pointwise.madds
        return params, madds


def _classifier_madds(rows: list[LayerRow]) -> int:
    """Those of the linear layers; a classifier can also be a convolution at the one position."""
    linear = [row.madds for row in rows if row.kind == "linear"]
    if linear:
        return sum(linear)
    last = [row.madds for row in rows if row.weights and row.output_shape[1:] == (1, 1)][-1:]
    return sum(last)


def _fix_input(graph: onnx.GraphProto, resolution: int | None) -> None:
    """Give the image input a batch of 1 and a size."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise GraphCostError("an image classifier has one input with four axes; this graph has not")
    for value in [value for value in graph.input if value.name in constants]:
        graph.input.remove(value)
    batch, *image = graph.input[0].type.tensor_type.shape.dim
    batch.dim_value = 1
    free = [dimension for dimension in image if not dimension.dim_value]
    if len(free) > 2:
        raise GraphCostError(
            "channels, height and width are all free: nothing tells which is which"
        )
    if free and resolution is None:
        raise GraphCostError("height and width are free: a resolution is needed")
    if resolution is not None:
        for dimension in free:
            dimension.dim_value = resolution
        sizes = [dimension.dim_value for dimension in image]
        if sizes.count(resolution) < 2:  # height and width; a third one may count channels
            raise GraphCostError(f"the image is fixed at {sizes}: {resolution} does not go in")
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


def _tensors(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """Shape and width of every initialiser and value."""
    found = {
        tensor.name: Tensor(tuple(tensor.dims), _element_bytes(tensor.data_type))
        for tensor in graph.initializer
    }
    for value in _values(graph):
        kind = value.type.tensor_type
        sizes = [size.dim_value for size in kind.shape.dim if size.HasField("dim_value")]
        if kind.HasField("shape") and len(sizes) == len(kind.shape.dim):
            found[value.name] = Tensor(tuple(sizes), _element_bytes(kind.elem_type))
    for node in graph.node:
        if node.output[0] not in found:
            raise GraphCostError(f"the shape of {node.output[0]!r} ({node.op_type}) stays unknown")
    return found


def constants(graph: onnx.GraphProto) -> set[str]:
    """Names of initialisers, and of what is computed from nothing else."""
    found = {"", *(tensor.name for tensor in graph.initializer)}
    for node in graph.node:
        if found.issuperset(node.input):
            found.update(node.output)
    return found - {""}


def _values(graph: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.value_info
    yield from graph.output


def _element_bytes(data_type: int) -> int:
    if data_type == TensorProto.UNDEFINED:
        raise GraphCostError("a value has no type")
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)
