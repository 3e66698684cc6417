"""A `.tflite` file as plain records: tensors, and operators in the order in which they run.

The flatbuffers library follows the offsets in a file without knowing where a table ends. So
everything is read out here, once, under limits, and whatever goes wrong is a `CheckpointError`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from app.arrays import Uint8Array
from models.checkpoints.checkpoint import Array, CheckpointError, errors_with_name

IDENTIFIER = b"TFL3"
# MobileNetV2 has 174 tensors and 66 operators; float16 weights add an operator and a tensor each.
MAX_TENSORS = 1000
MAX_OPERATORS = 300
MAX_RANK = 8
ONE_OUTPUT = "a classifier has one: convert a model whose only output is the class scores"
MAX_LISTED = 8  # outputs that an error names
# Tensors may share theirs, so the size of the file is no limit; MobileNets have some 50,000.
MAX_SCALES = 200_000

DTYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype("<f4"),
    tflite.TensorType.FLOAT16: np.dtype("<f2"),
    tflite.TensorType.UINT8: np.dtype("u1"),
    tflite.TensorType.INT8: np.dtype("i1"),
    tflite.TensorType.INT32: np.dtype("<i4"),
    tflite.TensorType.INT64: np.dtype("<i8"),
    tflite.TensorType.BOOL: np.dtype("?"),
}
PADDINGS = {tflite.Padding.SAME: "SAME", tflite.Padding.VALID: "VALID"}
ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: "NONE",
    tflite.ActivationFunctionType.RELU: "RELU",
    tflite.ActivationFunctionType.RELU6: "RELU6",
    tflite.ActivationFunctionType.RELU_N1_TO_1: "RELU_N1_TO_1",
}
OPERATORS = {
    number: name for name, number in vars(tflite.BuiltinOperator).items() if name.isupper()
}
CUSTOM = tflite.BuiltinOperator.CUSTOM
# the options of operators for which they matter here
OPTIONS = {
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "ADD": tflite.AddOptions,
    "SUB": tflite.SubOptions,
    "MUL": tflite.MulOptions,
    "DIV": tflite.DivOptions,
    "AVERAGE_POOL_2D": tflite.Pool2DOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
    "CONCATENATION": tflite.ConcatenationOptions,
    "FULLY_CONNECTED": tflite.FullyConnectedOptions,
    "SOFTMAX": tflite.SoftmaxOptions,
    "LEAKY_RELU": tflite.LeakyReluOptions,
    "GELU": tflite.GeluOptions,
    "RESIZE_BILINEAR": tflite.ResizeBilinearOptions,
    "RESIZE_NEAREST_NEIGHBOR": tflite.ResizeNearestNeighborOptions,
    "STRIDED_SLICE": tflite.StridedSliceOptions,
}
POOLS = {"AVERAGE_POOL_2D", "MAX_POOL_2D"}
RESIZES = {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}
WITH_ACTIVATION_ONLY = {"ADD", "SUB", "MUL", "DIV"}
WITHOUT_OPTIONS = {
    "MEAN", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD",
    "QUANTIZE", "DEQUANTIZE", "SHAPE", "PACK", "SLICE", "CAST", "GATHER", "REDUCE_PROD", "RELU",
    "RELU6", "RELU_N1_TO_1", "LOGISTIC", "LOG_SOFTMAX", "HARD_SWISH", "TANH", "MAXIMUM", "MINIMUM",
    "REDUCE_MAX", "NEG", "ELU", "PRELU", "ABS", "SQRT", "RSQRT", "EXP", "LOG", "SQUARE",
    "SQUARED_DIFFERENCE", "SUM", "L2_NORMALIZATION",
}  # fmt: skip
UNREADABLE = (struct.error, ValueError, TypeError, IndexError, KeyError, OverflowError)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A constant with its `values` (read-only, of `shape`), or an activation without.

    real = scale * (stored - zero_point), one pair or one for each index of `axis`; none for floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    values: Array | None
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Operator:
    """One step; inputs and outputs are tensor indices, an absent input is -1. Sizes are (h, w).

    `pads` (top, left, bottom, right), which no file has, is what a PAD became. `pixels` says where
    a resized pixel is read, in ONNX's words. `masks` are those of begin and end of a STRIDED_SLICE,
    as bits of its axes, and the other three together.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    activation: str = "NONE"
    beta: float = 1.0
    alpha: float = 0.0
    axis: int = 0
    pads: tuple[int, ...] | None = None
    pixels: str = "half_pixel"
    masks: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Graph:
    """A model with one input and one output."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


def read_graph(path: Path) -> Graph:
    """Read one file.

    Raises:
        CheckpointError: no TFLite file, cut off, or with something that MobileNets do not have.
    """
    with errors_with_name(path.name):
        content = path.read_bytes()
        if content[4:8] != IDENTIFIER:
            raise CheckpointError("not a TFLite file, which has TFL3 at byte 4")
        try:
            return _graph(tflite.Model.GetRootAs(content, 0))
        except UNREADABLE as error:
            raise CheckpointError(f"cut off or damaged ({error})") from error


def join(first: Graph, second: Graph) -> Graph:
    """The network that feeds the output of `first` into `second`.

    Raises:
        CheckpointError: shape, type, scale or zero point differ where they meet.
    """
    left, right = first.tensors[first.output], second.tensors[second.input]
    for what in ("shape", "dtype", "scales", "zero_points"):
        if getattr(left, what) != getattr(right, what):
            raise CheckpointError(
                f"the two files do not meet: {what} {getattr(left, what)} of {left.name!r} "
                f"and {getattr(right, what)} of {right.name!r}"
            )
    shift = len(first.tensors)
    moved = {index: index + shift for index in range(len(second.tensors))}
    moved |= {-1: -1, second.input: first.output}
    operators = [
        replace(
            operator,
            inputs=tuple(moved[index] for index in operator.inputs),
            outputs=tuple(moved[index] for index in operator.outputs),
        )
        for operator in second.operators
    ]
    return Graph(
        (*first.tensors, *second.tensors),
        (*first.operators, *operators),
        first.input,
        moved[second.output],
    )


def _graph(model: Any) -> Graph:
    if model.SubgraphsLength() != 1:
        raise CheckpointError(f"has {model.SubgraphsLength()} subgraphs, not one")
    subgraph = model.Subgraphs(0)
    if subgraph.TensorsLength() > MAX_TENSORS or subgraph.OperatorsLength() > MAX_OPERATORS:
        raise CheckpointError(
            f"has {subgraph.TensorsLength()} tensors and {subgraph.OperatorsLength()} operators, "
            f"more than {MAX_TENSORS} and {MAX_OPERATORS}"
        )
    _check_kind(model, subgraph)
    records = [subgraph.Tensors(index) for index in range(subgraph.TensorsLength())]
    parameters = [one for record in records if (one := record.Quantization())]
    if (scales := sum(one.ScaleLength() for one in parameters)) > MAX_SCALES:
        raise CheckpointError(f"its tensors have {scales} scales together, more than {MAX_SCALES}")
    tensors = tuple(_tensor(model, record) for record in records)
    operators = tuple(
        _operator(model, subgraph.Operators(index), len(tensors))
        for index in range(subgraph.OperatorsLength())
    )
    ends = (subgraph.Inputs(0), subgraph.Outputs(0))
    _check_indices(ends, len(tensors), 0)
    return Graph(tensors, operators, *ends)


def _check_kind(model: Any, subgraph: Any) -> None:
    """Tell what takes or gives something else than a classifier does, before its tensors are read.

    Raises:
        CheckpointError: it is for an accelerator, a detector, or has several inputs or outputs.
    """
    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        _check_indices((operator.OpcodeIndex(),), model.OperatorCodesLength(), 0)
        if model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() == CUSTOM:
            raise CheckpointError(_custom(model, operator))
    if subgraph.InputsLength() != 1:
        raise CheckpointError(
            f"has {subgraph.InputsLength()} inputs; a classifier of images has one"
        )
    outputs = []
    for index in range(min(subgraph.OutputsLength(), MAX_LISTED)):
        _check_indices((subgraph.Outputs(index),), subgraph.TensorsLength(), 0)
        tensor = subgraph.Tensors(subgraph.Outputs(index))
        rank = min(tensor.ShapeLength(), MAX_RANK)
        outputs.append([tensor.Shape(axis) for axis in range(rank)])
    if subgraph.OutputsLength() != 1:
        boxes = any(len(shape) > 2 for shape in outputs)
        raise CheckpointError(
            f"has {subgraph.OutputsLength()} outputs ({', '.join(map(str, outputs))}); "
            + ("it is a detector, not a classifier" if boxes else ONE_OUTPUT)
        )


def _tensor(model: Any, tensor: Any) -> Tensor:
    name = (tensor.Name() or b"").decode(errors="replace")
    dtype = DTYPES.get(tensor.Type())
    if dtype is None:
        raise CheckpointError(
            f"{name!r} is neither float32, float16, uint8, int8, int32, int64 nor bool"
        )
    if tensor.ShapeLength() > MAX_RANK:
        raise CheckpointError(f"{name!r} has {tensor.ShapeLength()} dimensions")
    shape = tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))
    if any(size < 1 for size in shape):
        raise CheckpointError(f"{name!r} has shape {shape}")
    quantization = tensor.Quantization()
    scales, zero_points = _quantization(name, quantization, shape)
    values = _values(name, model, tensor.Buffer(), shape, dtype)
    axis = quantization.QuantizedDimension() if quantization else 0
    return Tensor(name, shape, dtype, scales, zero_points, values, axis)


def _quantization(
    name: str, parameters: Any, shape: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scales and zero points; float files have parameters too, with a range and no scale."""
    count = parameters.ScaleLength() if parameters else 0
    if not count:
        return (), ()
    if count not in (1, *shape) or parameters.ZeroPointLength() != count:
        raise CheckpointError(f"{name!r} has {count} scales for shape {shape}")
    scales = tuple(parameters.Scale(index) for index in range(count))
    if not all(0 < scale < float("inf") for scale in scales):
        raise CheckpointError(f"{name!r} has a scale that is not a number above 0")
    return scales, tuple(parameters.ZeroPoint(index) for index in range(count))


def _values(
    name: str, model: Any, index: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    _check_indices((index,), model.BuffersLength(), 0)
    buffer = model.Buffers(index)
    if not buffer.DataLength():
        return None
    if buffer.DataLength() != prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{name!r} has {buffer.DataLength()} bytes for {shape} of {dtype}")
    content: Uint8Array = buffer.DataAsNumpy()
    values = content.view(dtype).reshape(shape)
    values.flags.writeable = False
    return values


def _operator(model: Any, operator: Any, tensors: int) -> Operator:
    _check_indices((operator.OpcodeIndex(),), model.OperatorCodesLength(), 0)
    kind = _named(OPERATORS, model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode())
    if kind not in OPTIONS and kind not in WITHOUT_OPTIONS:
        raise CheckpointError(f"has operator {kind}, which is not supported")
    ends = []
    for length, item in (
        (operator.InputsLength(), operator.Inputs),
        (operator.OutputsLength(), operator.Outputs),
    ):
        if length > MAX_TENSORS:
            raise CheckpointError(f"a {kind} has {length} inputs or outputs")
        ends.append(tuple(item(index) for index in range(length)))
    inputs, outputs = ends
    _check_indices(inputs, tensors, -1)
    _check_indices(outputs, tensors, 0)
    if not inputs or len(outputs) != 1:
        raise CheckpointError(f"a {kind} does not have inputs and one output")
    return _with_options(Operator(kind, inputs, outputs), operator)


def _with_options(record: Operator, operator: Any) -> Operator:
    schema = OPTIONS.get(record.kind)
    if schema is None:
        return record
    table = operator.BuiltinOptions()
    expected = getattr(tflite.BuiltinOptions, schema.__name__)
    if table is None or operator.BuiltinOptionsType() != expected:
        raise CheckpointError(f"a {record.kind} comes without its options")
    options = schema()
    options.Init(table.Bytes, table.Pos)
    if record.kind == "SOFTMAX":
        return replace(record, beta=options.Beta())
    if record.kind == "LEAKY_RELU":
        return replace(record, alpha=options.Alpha())
    if record.kind == "GELU":
        if options.Approximate():
            raise CheckpointError("a GELU is an approximation by tanh")
        return record
    if record.kind in RESIZES:
        centred = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        return replace(record, pixels="align_corners" if options.AlignCorners() else centred)
    if record.kind == "STRIDED_SLICE":
        if options.Offset():
            raise CheckpointError("a STRIDED_SLICE counts its ends from where it begins")
        others = options.EllipsisMask() | options.NewAxisMask() | options.ShrinkAxisMask()
        return replace(record, masks=(options.BeginMask(), options.EndMask(), others))
    record = replace(record, activation=_named(ACTIVATIONS, options.FusedActivationFunction()))
    if record.kind in WITH_ACTIVATION_ONLY:
        return record
    if record.kind == "FULLY_CONNECTED":
        if options.WeightsFormat():
            raise CheckpointError("a FULLY_CONNECTED has shuffled weights")
        return record
    if record.kind == "CONCATENATION":
        return replace(record, axis=options.Axis())
    record = replace(
        record,
        stride=(options.StrideH(), options.StrideW()),
        padding=_named(PADDINGS, options.Padding()),
    )
    if record.kind in POOLS:
        return replace(record, window=(options.FilterHeight(), options.FilterWidth()))
    return replace(record, dilation=(options.DilationHFactor(), options.DilationWFactor()))


def _custom(model: Any, operator: Any) -> str:
    """What a file with this custom operator is, by name where it is a known one."""
    name = (model.OperatorCodes(operator.OpcodeIndex()).CustomCode() or b"").decode(
        errors="replace"
    )
    if name == "edgetpu-custom-op":
        return (
            "is compiled for the Edge TPU, which alone can run it; "
            "import the file that was given to edgetpu_compiler"
        )
    if name == "TFLite_Detection_PostProcess":
        return (
            "is a detector (TFLite_Detection_PostProcess), not a classifier; "
            "train or choose a model of image classification"
        )
    return f"has the custom operator {name!r}, which only its author's program can run"


def _named(names: dict[int, str], number: int) -> str:
    """The name of a number, or the number where it has none, to be refused."""
    return names.get(number, f"number {number}")


def _check_indices(indices: Sequence[int], count: int, lowest: int) -> None:
    for index in indices:
        if not lowest <= index < count:
            raise CheckpointError(f"index {index} is not among its {count} entries")
