"""Operators that work on each number alone, and SOFTMAX."""

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Operator, Tensor
from models.translation.tflite.writer import Writer, affine_of, is_integer, reals

ARITHMETIC = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min",
}  # fmt: skip
UNARY = {
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "HARD_SWISH": "HardSwish",
    "NEG": "Neg",
    "ELU": "Elu",
    "ABS": "Abs",
    "SQRT": "Sqrt",
    "EXP": "Exp",
    "LOG": "Log",
    # of Keras alone
    "SELU": "Selu",
    "SOFTPLUS": "Softplus",
    "SOFTSIGN": "Softsign",
}
FUNCTIONS = {"RSQRT", "SQUARE", "SQUARED_DIFFERENCE", "GELU"}  # of several operators of ONNX
CLAMPS = {"RELU", "RELU6", "RELU_N1_TO_1"}


def arithmetic(writer: Writer, operator: Operator) -> None:
    """Write a sum, difference, product or quotient of two values, one of them perhaps constant."""
    target = operator.outputs[0]
    if len(operator.inputs) != 2:
        raise CheckpointError(f"a {operator.kind} has {len(operator.inputs)} inputs")
    nudges = _nudges(writer, operator)
    operands = [
        writer.operand(index, target, nudge)
        for index, nudge in zip(operator.inputs, nudges, strict=True)
    ]
    value = writer.emit(ARITHMETIC[operator.kind], operands, target)
    writer.finish(target, value, operator.activation)


def _nudges(writer: Writer, operator: Operator) -> tuple[float, float]:
    """What is added to a constant of a sum in integers, so that halves are rounded up.

    LiteRT does (XNNPACK's qs8-vadd adds a half and shifts), QuantizeLinear rounds to even; scaling
    of pixels has many exact halves.
    """
    result = writer.tensors[operator.outputs[0]]
    if operator.kind not in ("ADD", "SUB") or not is_integer(result):
        return 0, 0
    scale, _ = affine_of(result)
    nudge = float(scale) / 1024
    return nudge, nudge if operator.kind == "ADD" else -nudge


def unary(writer: Writer, operator: Operator) -> None:
    """Write a function of one value."""
    target = operator.outputs[0]
    writer.finish(target, writer.emit(UNARY[operator.kind], [_only(writer, operator)], target))


def function(writer: Writer, operator: Operator) -> None:
    """Write a function that takes several operators, in floats.

    Raises:
        CheckpointError: it is in integers, whose rounding in between is not known here.
    """
    target = operator.outputs[0]
    if is_integer(writer.tensors[target]):
        raise CheckpointError(f"has a {operator.kind} in integers")
    values = [writer.operand(index, target) for index in operator.inputs]
    if operator.kind == "RSQRT":
        root = writer.emit("Sqrt", values, target)
        value = writer.emit("Reciprocal", [root], target)
    elif operator.kind == "GELU":
        value = _gelu(writer, values[0], target)
    else:
        one = values[0] if len(values) == 1 else writer.emit("Sub", values, target)
        value = writer.emit("Mul", [one, one], target)
    writer.finish(target, value)


def _gelu(writer: Writer, value: str, target: int) -> str:
    """x / 2 (1 + erf(x / sqrt(2)))."""
    root, one, half = (writer.constant("gelu", np.float32(number)) for number in (2**0.5, 1.0, 0.5))
    share = writer.emit("Div", [value, root], target)
    share = writer.emit("Add", [writer.emit("Erf", [share], target), one], target)
    return writer.emit("Mul", [writer.emit("Mul", [value, half], target), share], target)


def prelu(writer: Writer, operator: Operator) -> None:
    """Write a ReLU whose negative side has a slope for each channel."""
    target = operator.outputs[0]
    if is_integer(writer.tensors[target]) or not writer.is_constant(operator.inputs[1]):
        raise CheckpointError("has a PRELU in integers, or of slopes that are not constant")
    parts = [_only(writer, operator), writer.operand(operator.inputs[1], target)]
    writer.finish(target, writer.emit("PRelu", parts, target))


def unit_length(writer: Writer, operator: Operator) -> None:
    """Write a division by the length of a vector, over the last axis of the file."""
    target = operator.outputs[0]
    if is_integer(writer.tensors[target]):
        raise CheckpointError("has an L2_NORMALIZATION in integers")
    axis = 1 if len(writer.shape(target)) == 4 else len(writer.shape(target)) - 1
    value = writer.emit("LpNormalization", [_only(writer, operator)], target, axis=axis, p=2)
    writer.finish(target, value)


def leaky_relu(writer: Writer, operator: Operator) -> None:
    """Write a ReLU whose negative side has a slope.

    In integers LiteRT rounds the slope to 1/256 of a step, and halves up (XNNPACK's qs8-vlrelu).
    """
    source, target = operator.inputs[0], operator.outputs[0]
    value = _only(writer, operator)
    if not is_integer(writer.tensors[target]):
        value = writer.emit("LeakyRelu", [value], target, alpha=operator.alpha)
        writer.finish(target, value)
        return
    step = affine_of(writer.tensors[target])[0]
    ratio = affine_of(writer.tensors[source])[0] / step
    alpha = float(np.round(256 * operator.alpha * ratio) / 256 / ratio)
    value = writer.emit("LeakyRelu", [value], target, alpha=alpha)
    nudge = writer.constant("nudge", np.float32(step / 1024))
    writer.finish(target, writer.emit("Add", [value, nudge], target))


def clamp(writer: Writer, operator: Operator) -> None:
    """Write an activation that is an operator of its own."""
    writer.finish(operator.outputs[0], _only(writer, operator), operator.kind)


def cast(writer: Writer, operator: Operator) -> None:
    """QUANTIZE, DEQUANTIZE or CAST: the same reals, rounded as the target says."""
    source, target = operator.inputs[0], operator.outputs[0]
    if operator.kind == "CAST":
        _check_cast(writer.tensors[source], writer.tensors[target])
    if writer.is_constant(source):
        writer.fold_reals(target, reals(writer.tensors[source]))
    else:
        writer.finish(target, _only(writer, operator))


def _check_cast(source: Tensor, target: Tensor) -> None:
    """Reject a CAST that changes what numbers stand for: it cuts off decimals, or drops a scale."""
    if target.dtype.kind != "f" or source.scales:
        raise CheckpointError(f"a CAST makes {target.dtype} of {source.name!r} ({source.dtype})")


def softmax(writer: Writer, operator: Operator) -> None:
    """Write a softmax (or its logarithm) over the last axis of the file."""
    source, target = operator.inputs[0], operator.outputs[0]
    value = _only(writer, operator)
    if operator.kind == "SOFTMAX" and operator.beta != 1:
        beta = writer.constant("beta", np.float32(operator.beta))
        value = writer.emit("Mul", [value, beta], target)
    rank = len(writer.shape(source))
    axis = 1 if rank == 4 else rank - 1
    op = {"SOFTMAX": "Softmax", "LOG_SOFTMAX": "LogSoftmax"}[operator.kind]
    writer.finish(target, writer.emit(op, [value], target, axis=axis))


def _only(writer: Writer, operator: Operator) -> str:
    source, target = operator.inputs[0], operator.outputs[0]
    if writer.shape(source) != writer.shape(target):
        raise CheckpointError(f"a {operator.kind} makes {writer.shape(target)} of another shape")
    return writer.value(source)
