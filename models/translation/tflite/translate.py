"""From a TFLite graph to the same sums in ONNX.

The result takes what the file takes, in the file's layout: float32, or uint8 where the file takes
uint8 or int8 (then a pixel p is what the file knows as p - 128). It gives float32 scores. The batch
is free; so are height and width of a square file of a multiple of 32 that pools its whole map.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Graph, Operator
from models.export.graph import IR_VERSION, OPSET
from models.network.resolution import STEP
from models.translation.tflite import (
    convolutions,
    elementwise,
    padding,
    pooling,
    resizing,
    shapes,
    sizes,
)
from models.translation.tflite.writer import TO_NCHW, Writer, is_integer

PRODUCER = "tflite"
Translator = Callable[[Writer, Operator], None]
TRANSLATORS: dict[str, Translator] = {
    "CONV_2D": convolutions.convolution,
    "DEPTHWISE_CONV_2D": convolutions.convolution,
    "FULLY_CONNECTED": convolutions.fully_connected,
    **dict.fromkeys(elementwise.ARITHMETIC, elementwise.arithmetic),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.CLAMPS, elementwise.clamp),
    **dict.fromkeys(elementwise.FUNCTIONS, elementwise.function),
    "LEAKY_RELU": elementwise.leaky_relu,
    "PRELU": elementwise.prelu,
    "L2_NORMALIZATION": elementwise.unit_length,
    "QUANTIZE": elementwise.cast,
    "DEQUANTIZE": elementwise.cast,
    "CAST": elementwise.cast,
    "SOFTMAX": elementwise.softmax,
    "LOG_SOFTMAX": elementwise.softmax,
    **dict.fromkeys(pooling.POOLS, pooling.pool),
    **dict.fromkeys(pooling.REDUCTIONS, pooling.reduction),
    "RESHAPE": shapes.reshape,
    "SQUEEZE": shapes.reshape,
    "EXPAND_DIMS": shapes.reshape,
    "TRANSPOSE": shapes.transpose,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "MIRROR_PAD": shapes.pad,
    "CONCATENATION": shapes.concatenation,
    **dict.fromkeys(resizing.MODES, resizing.resize),
    "SLICE": resizing.cut_out,
    "STRIDED_SLICE": resizing.cut_out,
}
# Their result has its shape in the file; what they compute it of is not needed.
BY_SHAPE = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
BY_SIZE = {*BY_SHAPE, *resizing.MODES, "FULLY_CONNECTED", "TRANSPOSE", "SLICE", "STRIDED_SLICE"}
PASSING = {"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE"}
ENDS = {"SOFTMAX", "LOGISTIC", "LOG_SOFTMAX"}


def takes_floats(graph: Graph) -> bool:
    """Whether the input is floats; else it is integers."""
    return not is_integer(graph.tensors[graph.input])


def translate(graph: Graph, *, float_input: bool = False) -> onnx.ModelProto:
    """Write every operator that the answer depends on.

    With `float_input` the floats that a quantised input stands for go in, and are rounded here.
    Kernels of dynamic range multiply floats: LiteRT rounds those to 8 bits by the range that they
    have at run time, where a change in the seventh digit moves a value by a step.

    Raises:
        CheckpointError: an operator, or a way of using it, has no counterpart here.
    """
    needed = _needed(graph)
    if unknown := [one.kind for one in needed if one.kind not in TRANSLATORS]:
        raise CheckpointError(f"has operator {unknown[0]} among its layers")
    graph = padding.folded(replace(sizes.worked_out(graph), operators=tuple(needed)))
    writer = Writer(graph, _unrounded(graph))
    source = _input(writer, graph, float_input)
    for operator in graph.operators:
        try:
            TRANSLATORS[operator.kind](writer, operator)
        except IndexError as error:
            raise CheckpointError(f"a {operator.kind} lacks an input") from error
    output = _output(writer, graph)
    made = helper.make_graph(
        writer.tape.nodes, "tflite", [source], [output], list(writer.tape.constants.values())
    )
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )


def _input(writer: Writer, graph: Graph, float_input: bool) -> onnx.ValueInfoProto:
    tensor = graph.tensors[graph.input]
    name = writer.name(graph.input)
    value, kind = name, TensorProto.FLOAT
    if tensor.dtype == np.uint8 and not tensor.scales:  # pixels, which the graph casts
        kind = TensorProto.UINT8
        value = writer.emit("Cast", [value], graph.input, to=TensorProto.FLOAT)
    elif is_integer(tensor):
        if float_input:
            affine = writer.affine(graph.input)
            value = writer.emit("QuantizeLinear", [value, *affine], graph.input)
        else:
            kind = TensorProto.UINT8
        value = writer.emit("DequantizeLinear", [value, *writer.affine(graph.input)], graph.input)
    elif tensor.dtype != np.float32:
        raise CheckpointError(f"the input {tensor.name!r} is {tensor.dtype}")
    if len(tensor.shape) == 4:
        value = writer.emit("Transpose", [value], graph.input, perm=TO_NCHW)
    writer.values[graph.input] = value
    shape: list[int | str] = ["N", *tensor.shape[1:]]
    if _bears_any_size(graph):
        shape[1:3] = ["H", "W"]
    return helper.make_tensor_value_info(name, kind, shape)


def _bears_any_size(graph: Graph) -> bool:
    """Whether the sums stay the file's own at other multiples of 32 pixels.

    A reshaped map is of one size.
    """
    shape = graph.tensors[graph.input].shape
    if len(shape) != 4 or shape[1] != shape[2] or shape[1] % STEP:
        return False
    return _keeps_padding(graph) and all(
        graph.tensors[operator.inputs[0]].shape[1:3] == (1, 1)
        for operator in graph.operators
        if operator.kind in BY_SIZE and len(graph.tensors[operator.inputs[0]].shape) == 4
    )


def _keeps_padding(graph: Graph) -> bool:
    """Whether every SAME pads other sizes as it pads the file's own.

    Its zeros depend on the rest of a side by the stride. That is the same at all multiples of 32 if
    they are whole multiples of what the strides make together, as of five halvings.
    """
    strides = {graph.input: (1, 1)}  # together, up to each map
    for operator in graph.operators:
        before = [strides.get(index, (1, 1)) for index in operator.inputs]
        height, width = (
            max(sides) * by for *sides, by in zip(*before, operator.stride, strict=True)
        )
        strides[operator.outputs[0]] = height, width
        pads = operator.padding == "SAME" and operator.pads is None and operator.stride != (1, 1)
        if pads and (STEP % height or STEP % width):
            return False
    return True


def _output(writer: Writer, graph: Graph) -> onnx.ValueInfoProto:
    shape = graph.tensors[graph.output].shape
    if shape[:1] != (1,):
        raise CheckpointError(f"the output is {shape}, which is not one row an image")
    name = writer.name(graph.output)
    writer.tape.emit("Identity", [writer.nhwc(graph.output)], name)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])


def _needed(graph: Graph) -> list[Operator]:
    """The operators that the output depends on, in the same order.

    Raises:
        CheckpointError: one makes what is made already.
    """
    made = Counter(index for operator in graph.operators for index in operator.outputs)
    if twice := [index for index, count in made.items() if count > 1 or index == graph.input]:
        raise CheckpointError(f"{graph.tensors[twice[0]].name!r} is made twice")
    wanted, kept = {graph.output}, []
    for operator in reversed(graph.operators):
        if wanted.intersection(operator.outputs):
            by_shape = operator.kind in BY_SHAPE
            wanted.update(operator.inputs[:1] if by_shape else operator.inputs)
            kept.append(operator)
    return kept[::-1]


def _unrounded(graph: Graph) -> set[int]:
    """The tensors from a softmax or sigmoid at the end on, whose rounding would only lose."""
    makers = {operator.outputs[0]: operator for operator in graph.operators}
    found, index = {graph.output}, graph.output
    while (maker := makers.get(index)) and maker.kind in PASSING:
        index = maker.inputs[0]
        if index in found:
            return set()
        found.add(index)
    return found if maker is not None and maker.kind in ENDS else set()
