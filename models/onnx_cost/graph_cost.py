"""The cost of any ONNX classifier, read from its graph alone.

Independent of `models.network.cost`, which walks the definitions in this project: here the shapes
come from ONNX shape inference and the weights from the initialisers, so third-party files have
costs too. Conv, ConvInteger, QLinearConv, Gemm and MatMul (and its integer forms) with a constant
second operand have parameters and multiply-adds; a constant added right after them is their bias.
`weights`, `biases` and `madds` count as in `app.card.card.Cost`. Scales and zero points of a
quantised file are not parameters. Operators of onnxruntime's quantiser count as the corresponding
standard operators.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper, shape_inference

from app.card.card import Cost, LayerRow
from models.files.onnx_file import read_model
from models.network.cost import BufferUse, params, peak_bytes, stored_params
from models.onnx_cost import computed_shapes
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
# Their output is a view of their input or can overwrite it.
IN_PLACE = {
    "BatchNormalization", "Cast", "Clip", "DequantizeLinear", "Dropout", "Flatten", "HardSwish",
    "Identity", "Mul", "QuantizeLinear", "Relu", "Reshape", "Squeeze", "Sub", "Transpose",
    "Unsqueeze", "Div",
}  # fmt: skip
MAX_GRAPH_RESOLUTION = 2048
QUANTIZE_OPS = {"QuantizeLinear", "DequantizeLinear"}
# Raised for a missing type, attribute or output, which shape inference does not report.
DAMAGED_GRAPH_ERRORS = (IndexError, KeyError, TypeError, ValueError)


class GraphCostError(ValueError):
    """The cost of a graph cannot be determined; the message says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    shape: tuple[int, ...]
    element_bytes: int

    @property
    def feature_map(self) -> tuple[int, int, int]:
        """(channels, height, width) of a map [1, C, H, W] or a vector [1, C]."""
        _, channels, height, width = (*self.shape, 1, 1, 1, 1)[:4]
        return channels, height, width


def graph_cost(model: onnx.ModelProto | Path, resolution: int | None = None) -> Cost:
    """Cost of a graph for one image; `resolution` replaces symbolic height and width.

    Raises:
        GraphCostError: there is no single image input, a shape is unknown, the graph is damaged,
            or the resolution is out of range.
        OnnxFileError: the path is not a readable ONNX file.
    """
    if resolution is not None:
        check_graph_resolution(resolution)
    if isinstance(model, Path):
        copy = read_model(model)
    else:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
    _fix_input(copy.graph, resolution)
    standardise(copy.graph)
    try:
        computed_shapes.fold(copy)
        inferred = shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise GraphCostError(f"Shape inference failed: {error}") from error
    except DAMAGED_GRAPH_ERRORS as error:
        raise GraphCostError(f"The graph is damaged: {error}.") from error
    try:
        return _GraphCost(inferred.graph).cost()
    except GraphCostError:
        raise
    except DAMAGED_GRAPH_ERRORS as error:
        raise GraphCostError(f"The graph is damaged: {error}.") from error


def check_graph_resolution(resolution: int) -> None:
    """Check that a resolution is within the range of image classifiers.

    Raises:
        GraphCostError: it is not from 1 to MAX_GRAPH_RESOLUTION.
    """
    if not 1 <= resolution <= MAX_GRAPH_RESOLUTION:
        raise GraphCostError(
            f"Resolution is {resolution}; it must be from 1 to {MAX_GRAPH_RESOLUTION} pixels."
        )


class _GraphCost:
    """One pass over the nodes of a graph whose shapes are known."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.tensors = _tensors(graph)
        self.constants = constants(graph)
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.buffers = self._assign_buffers()
        self.values_in: dict[str, list[str]] = {}  # by buffer
        for value, buffer in self.buffers.items():
            self.values_in.setdefault(buffer, []).append(value)
        quantize_nodes = [node for node in graph.node if node.op_type in QUANTIZE_OPS]
        self.quantized = {
            name for node in quantize_nodes for name in (node.input[0], node.output[0])
        }
        # A result that is rounded for the next layer is still returned in float.
        rounded = {node.input[0] for node in quantize_nodes if node.op_type == "QuantizeLinear"}
        self.in_float = rounded & {value.name for value in graph.output}

    def cost(self) -> Cost:
        rows = [row for node in self.graph.node if (row := self._row(node))]
        madds = sum(row.madds for row in rows)
        total_params = sum(map(params, rows))
        extra_params, extra_madds = _standard_surplus(rows)
        return Cost(
            params=total_params,
            stored_params=sum(map(stored_params, rows)),
            madds=madds,
            classifier_madds=_classifier_madds(rows),
            peak_activation_bytes=self._peak(),
            standard_params=total_params + extra_params,
            standard_madds=madds + extra_madds,
            layers=tuple(rows),
        )

    def _row(self, node: NodeProto) -> LayerRow | None:
        if node.op_type in CONVOLUTIONS:
            return self._weighted_row(node, *CONVOLUTIONS[node.op_type])
        if node.op_type in MATRICES and node.input[MATRICES[node.op_type][0]] in self.constants:
            return self._weighted_row(node, *MATRICES[node.op_type])
        if node.op_type == "Add" and self.constants.isdisjoint(node.input):
            return self._layer_row(node, "add")
        if node.op_type == "ReduceMean" and len(self.tensors[node.input[0]].shape) == 4:
            return self._layer_row(node, "global_pool")
        if node.op_type in POOLS:
            return self._layer_row(node, POOLS[node.op_type])
        return None

    def _weighted_row(self, node: NodeProto, kernel_at: int, bias_at: int | None) -> LayerRow:
        weights = self.tensors[node.input[kernel_at]].shape
        output = self.tensors[node.output[0]]
        groups = _attributes(node).get("group", 1)
        kernel = (weights[2], weights[3]) if len(weights) == 4 else (1, 1)
        positions = prod(output.shape[2:])
        if node.op_type in MATRICES:
            kind = "linear"
            positions = prod(output.shape[:-1])
        elif groups > 1 and groups == output.feature_map[0]:
            kind = "depthwise"
        else:
            kind = "pointwise" if kernel == (1, 1) else "conv"
        return self._layer_row(
            node,
            kind,
            kernel=kernel,
            groups=groups,
            weights=prod(weights),
            biases=self._biases(node, bias_at),
            batch_norm_params=self._batch_norm_params(node),
            madds=prod(weights) * positions,
        )

    def _layer_row(self, node: NodeProto, kind: str, **figures: Any) -> LayerRow:
        """A row with these figures, or with those of a layer without weights."""
        attributes = _attributes(node)
        defaults = {
            "kernel": tuple(attributes.get("kernel_shape", (1, 1)))[:2],
            "groups": 1,
            "weights": 0,
            "biases": 0,
            "batch_norm_params": 0,
            "madds": 0,
        }
        return LayerRow(
            name=node.name or node.output[0],
            kind=kind,
            input_shape=self.tensors[node.input[0]].feature_map,
            output_shape=self.tensors[node.output[0]].feature_map,
            stride=attributes.get("strides", [1])[0],
            activation_bytes=self._buffer_bytes(node.output[0]),
            **(defaults | figures),
        )

    def _biases(self, node: NodeProto, bias_at: int | None) -> int:
        """Size of the node's own bias and of a constant added right after it.

        Nodes that quantise the product, or convert an integer product to float, may stand between.
        """
        biases = list(node.input[bias_at : bias_at + 1]) if bias_at else []
        followers = self.readers.get(node.output[0], [])
        between = QUANTIZE_OPS | ({"Cast", "Mul"} if node.op_type.endswith("Integer") else set())
        while followers and followers[0].op_type in between:
            followers = self.readers.get(followers[0].output[0], [])
        for follower in followers:
            if follower.op_type == "Add":
                biases += [name for name in follower.input if name in self.constants]
        return sum(prod(self.tensors[name].shape) for name in biases if name)

    def _batch_norm_params(self, node: NodeProto) -> int:
        """Scale and shift of a batch norm that follows the node."""
        followers = [follower.op_type for follower in self.readers.get(node.output[0], [])]
        channels, _, _ = self.tensors[node.output[0]].feature_map
        return 2 * channels * followers.count("BatchNormalization")

    def _assign_buffers(self) -> dict[str, str]:
        """The buffer of every value that is not a constant."""
        buffers = {value.name: value.name for value in self.graph.input}
        for node in self.graph.node:
            if node.output[0] in self.constants:
                continue
            sources = [name for name in node.input if name in buffers]
            in_place = node.op_type in IN_PLACE or (node.op_type == "Add" and sources)
            buffers.update({name: name for name in node.output if name})
            if in_place and sources:
                buffers[node.output[0]] = buffers[sources[0]]
        return buffers

    def _buffer_bytes(self, name: str) -> int:
        """Bytes of a value's buffer, as integers if it is quantised and no result in float."""
        values = self.values_in[self.buffers[name]]
        widths = [self.tensors[value].element_bytes for value in values]
        quantized = not self.quantized.isdisjoint(values) and self.in_float.isdisjoint(values)
        return prod(self.tensors[name].shape) * (min(widths) if quantized else max(widths))

    def _peak(self) -> int:
        uses = []
        for node in self.graph.node:
            output = node.output[0]
            if output not in self.buffers:
                continue
            reads = tuple(self.buffers[name] for name in node.input if name in self.buffers)
            uses.append(BufferUse(reads, self.buffers[output], self._buffer_bytes(output)))
        inputs = {value.name: self._buffer_bytes(value.name) for value in self.graph.input}
        return peak_bytes(uses, inputs)


def _standard_surplus(rows: list[LayerRow]) -> tuple[int, int]:
    """Additional parameters and MAdds of the same network with standard convolutions.

    A depthwise convolution followed by a pointwise one corresponds to a single convolution with
    the kernel size of the first and the channels of the second, without the bias and the batch
    norm of the first.
    """
    extra_params = extra_madds = 0
    for depthwise, pointwise in pairwise(rows):
        if depthwise.kind != "depthwise" or pointwise.kind != "pointwise":
            continue
        weights = pointwise.weights * prod(depthwise.kernel)
        _, height, width = depthwise.output_shape
        extra_params += weights - pointwise.weights - params(depthwise)
        extra_madds += weights * height * width - depthwise.madds - pointwise.madds
    return extra_params, extra_madds


def _classifier_madds(rows: list[LayerRow]) -> int:
    """MAdds of the linear layers, or of the last convolution whose output is 1x1."""
    linear = [row.madds for row in rows if row.kind == "linear"]
    last = [row.madds for row in rows if row.weights and row.output_shape[1:] == (1, 1)][-1:]
    return sum(linear or last)


def _fix_input(graph: onnx.GraphProto, resolution: int | None) -> None:
    """Set the batch size of the image input to 1, and its height and width."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise GraphCostError("The graph must have exactly one input with four axes.")
    for value in [value for value in graph.input if value.name in constants]:
        graph.input.remove(value)
    batch, *image = graph.input[0].type.tensor_type.shape.dim
    batch.dim_value = 1
    symbolic = [dimension for dimension in image if not dimension.dim_value]
    if len(symbolic) > 2:
        raise GraphCostError(
            "Channels, height and width are all symbolic, so the layout is unknown."
        )
    if symbolic and resolution is None:
        raise GraphCostError("Height and width are symbolic. Give a resolution.")
    if resolution is not None:
        for dimension in symbolic:
            dimension.dim_value = resolution
        fixed = [dimension.dim_value for dimension in image]
        if fixed.count(resolution) < 2:  # height and width
            raise GraphCostError(
                f"The input is fixed at {fixed}; resolution {resolution} is not possible."
            )
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


def _tensors(graph: onnx.GraphProto) -> dict[str, Tensor]:
    found = {
        tensor.name: Tensor(tuple(tensor.dims), _element_bytes(tensor.data_type))
        for tensor in graph.initializer
    }
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sizes = [size.dim_value for size in kind.shape.dim if size.HasField("dim_value")]
        if kind.HasField("shape") and len(sizes) == len(kind.shape.dim):
            found[value.name] = Tensor(tuple(sizes), _element_bytes(kind.elem_type))
    for node in graph.node:
        if node.output[0] not in found:
            raise GraphCostError(f"The shape of {node.output[0]!r} ({node.op_type}) is unknown.")
    return found


def constants(graph: onnx.GraphProto) -> set[str]:
    """Names of initialisers and of values computed from them alone."""
    found = {"", *(tensor.name for tensor in graph.initializer)}
    for node in graph.node:
        if found.issuperset(node.input):
            found.update(node.output)
    return found - {""}


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _element_bytes(data_type: int) -> int:
    if data_type == TensorProto.UNDEFINED:
        raise GraphCostError("A value has no type.")
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)
