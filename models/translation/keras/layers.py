"""Each layer of Keras as operators of a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.records import Records, windowed

ACTIVATIONS = {
    "relu": "RELU", "relu6": "RELU6", "softmax": "SOFTMAX", "sigmoid": "LOGISTIC", "tanh": "TANH",
    "log_softmax": "LOG_SOFTMAX", "hard_swish": "HARD_SWISH", "hard_silu": "HARD_SWISH",
    "elu": "ELU", "selu": "SELU", "softplus": "SOFTPLUS", "softsign": "SOFTSIGN", "gelu": "GELU",
    "exponential": "EXP",
}  # fmt: skip
KERAS_LEAK = 0.2  # of the activation; of the layer, 0.3
INERT = {
    "InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization",
}  # fmt: skip


class Numbers(NamedTuple):
    """Numbers among the arguments of a call; `first` if one stands in front, as in 1 - x."""

    values: tuple[float, ...] = ()
    first: bool = False


NO_NUMBERS = Numbers()


@dataclass(frozen=True, slots=True)
class Call:
    """A layer that is called: its values, its weights by name, and numbers among its arguments."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: list[int]
    weights: Mapping[str, Float32Array]
    numbers: Numbers = NO_NUMBERS

    def weight(self, name: str) -> Float32Array:
        if name not in self.weights:
            raise CheckpointError(f"{self.name} has no {name}")
        return self.weights[name]

    def pair(self, name: str, default: int = 1) -> tuple[int, int]:
        found = self.config.get(name, default)
        height, width = (found, found) if isinstance(found, int) else found
        return int(height), int(width)


Layer = Callable[[Records, Call], int]


def is_inert(kind: str) -> bool:
    """Whether a layer does nothing but in training, as those of augmentation.

    Of these, RandomCrop resizes or cuts whatever it is given.
    """
    return kind in INERT or (kind.startswith("Random") and kind != "RandomCrop")


def write(records: Records, call: Call) -> int:
    """Add the operators of a layer; return its result.

    Raises:
        CheckpointError: the layer, or a way of using it, is not known.
    """
    if call.config.get("data_format", "channels_last") not in ("channels_last", None):
        raise CheckpointError(f"{call.name} has its channels first")
    if is_inert(call.kind):
        return call.inputs[0]
    if call.kind == "Lambda":
        raise CheckpointError(
            f"its Lambda {call.name!r} is a function of the program that trained it, which no file "
            "keeps in a form to be read; import a .tflite or .onnx of the model instead"
        )
    if call.kind not in LAYERS:
        raise CheckpointError(f"its {call.kind} {call.name!r} is not known here")
    return LAYERS[call.kind](records, call)


def _activated(records: Records, value: int, activation: Any, name: str) -> int:
    if isinstance(activation, dict):
        activation = activation.get("class_name", activation)
    if activation in (None, "linear"):
        return value
    if activation in ("swish", "silu"):
        gate = records.same("LOGISTIC", [value], f"{name}/gate")
        return records.same("MUL", [value, gate], f"{name}/swish")
    if activation == "leaky_relu":
        return records.same("LEAKY_RELU", [value], f"{name}/leaky_relu", alpha=KERAS_LEAK)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(f"{name} has the activation {activation!r}")
    return records.same(ACTIVATIONS[activation], [value], f"{name}/{activation}")


def _convolution(records: Records, call: Call) -> int:
    kernel = call.weight("kernel").transpose(3, 0, 1, 2)
    return _convolved(records, call, "CONV_2D", kernel, kernel.shape[0], call.inputs[0])


def _depthwise(records: Records, call: Call) -> int:
    value = _depthwise_map(records, call, call.weights.get("bias"))
    return _activated(records, value, call.config.get("activation"), call.name)


def _separable(records: Records, call: Call) -> int:
    between = _depthwise_map(records, call, None)
    kernel = call.weight("pointwise_kernel").transpose(3, 0, 1, 2)
    bias = call.weights.get("bias", np.zeros(len(kernel), np.float32))
    parts = [between, records.constant(kernel), records.constant(bias)]
    shape = (*records.shape(between)[:3], len(kernel))
    value = records.step("CONV_2D", parts, shape, call.name, padding="VALID")
    return _activated(records, value, call.config.get("activation"), call.name)


def _depthwise_map(records: Records, call: Call, bias: Float32Array | None) -> int:
    name = next((n for n in ("depthwise_kernel", "kernel") if n in call.weights), "kernel")
    kernel = call.weight(name)
    channels = kernel.shape[2] * kernel.shape[3]
    flat = kernel.reshape(1, *kernel.shape[:2], channels)
    return _window(records, call, "DEPTHWISE_CONV_2D", flat, channels, call.inputs[0], bias)


def _convolved(
    records: Records, call: Call, kind: str, kernel: Float32Array, channels: int, source: int
) -> int:
    value = _window(records, call, kind, kernel, channels, source, call.weights.get("bias"))
    return _activated(records, value, call.config.get("activation"), call.name)


def _window(
    records: Records,
    call: Call,
    kind: str,
    kernel: Float32Array,
    channels: int,
    source: int,
    bias: Float32Array | None,
) -> int:
    stride, dilation = call.pair("strides"), call.pair("dilation_rate")
    padding = str(call.config.get("padding", "valid")).upper()
    _, *sides, _ = records.shape(source)
    made = [
        windowed(sides[at], kernel.shape[1 + at], stride[at], padding, dilation[at])
        for at in range(2)
    ]
    bias = np.zeros(channels, np.float32) if bias is None else bias
    return records.step(
        kind,
        [source, records.constant(kernel), records.constant(bias)],
        (1, made[0], made[1], channels),
        call.name,
        stride=stride,
        dilation=dilation,
        padding=padding,
    )


def _batch_norm(records: Records, call: Call) -> int:
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    rank = len(records.shape(call.inputs[0]))
    if axis % rank != rank - 1:
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    mean = call.weight("moving_mean").astype(np.float64)
    variance = call.weight("moving_variance").astype(np.float64)
    scale = call.weights.get("gamma", np.float32(1)) / np.sqrt(
        variance + call.config.get("epsilon", 1e-3)
    )
    shift = call.weights.get("beta", np.float32(0)) - mean * scale
    return _affine(records, call, call.inputs[0], scale, shift)


def _affine(records: Records, call: Call, value: int, scale: Any, shift: Any) -> int:
    if np.any(np.asarray(scale) != 1):
        value = records.same("MUL", [value, records.constant(scale)], f"{call.name}/scaled")
    if np.any(np.asarray(shift) != 0):
        value = records.same("ADD", [value, records.constant(shift)], f"{call.name}/shifted")
    return value


def _rescaling(records: Records, call: Call) -> int:
    scale, offset = call.config["scale"], call.config.get("offset", 0)
    return _affine(records, call, call.inputs[0], scale, offset)


def _normalization(records: Records, call: Call) -> int:
    mean, variance = (
        np.asarray(
            call.weights[name] if name in call.weights else call.config.get(name), np.float64
        )
        for name in ("mean", "variance")
    )
    if call.config.get("invert") or mean.ndim == 0 or not np.isfinite(mean).all():
        raise CheckpointError(f"{call.name} has no mean and variance of its own")
    axis, rank = call.config.get("axis", -1), len(records.shape(call.inputs[0]))
    axes = [one % rank for one in (axis if isinstance(axis, list) else [axis])]
    if axes != list(range(rank - len(axes), rank)):  # whose numbers do not go along the last axes
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return _affine(records, call, call.inputs[0], 1 / deviation, -mean / deviation)


def _relu(records: Records, call: Call) -> int:
    highest = call.config.get("max_value")
    slope = call.config.get("negative_slope")
    if call.config.get("threshold") or (slope and highest is not None):
        raise CheckpointError(f"{call.name} is a ReLU with a threshold, or a slope and a maximum")
    if slope:
        return records.same("LEAKY_RELU", call.inputs, call.name, alpha=float(slope))
    if highest is None or highest == 6:
        return records.same("RELU" if highest is None else "RELU6", call.inputs, call.name)
    value = records.same("RELU", call.inputs, f"{call.name}/above")
    return records.same("MINIMUM", [value, records.constant(highest)], call.name)


def _padding(records: Records, call: Call) -> int:
    found = call.config.get("padding", 1)
    found = [[found, found]] * 2 if isinstance(found, int) else found
    rows, columns = ([one, one] if isinstance(one, int) else list(one) for one in found)
    batch, height, width, channels = records.shape(call.inputs[0])
    amounts = records.constant([[0, 0], rows, columns, [0, 0]], whole=True)
    shape = (batch, height + sum(rows), width + sum(columns), channels)
    return records.step("PAD", [call.inputs[0], amounts], shape, call.name)


def _merge(kind: str) -> Layer:
    def merged(records: Records, call: Call) -> int:
        value = call.inputs[0]
        for other in call.inputs[1:]:
            value = records.same(kind, [value, other], call.name)
        return value

    return merged


def _concatenate(records: Records, call: Call) -> int:
    shape = list(records.shape(call.inputs[0]))
    axis = call.config.get("axis", -1) % len(shape)
    shape[axis] = sum(records.shape(value)[axis] for value in call.inputs)
    return records.step("CONCATENATION", call.inputs, tuple(shape), call.name, axis=axis)


def _global_pool(kind: str) -> Layer:
    def pooled(records: Records, call: Call) -> int:
        batch, *_, channels = records.shape(call.inputs[0])
        shape = (batch, 1, 1, channels) if call.config.get("keepdims") else (batch, channels)
        axes = records.constant([1, 2], whole=True)
        return records.step(kind, [call.inputs[0], axes], shape, call.name)

    return pooled


def _pool(kind: str) -> Layer:
    def pooled(records: Records, call: Call) -> int:
        window = call.pair("pool_size", 2)
        stride = call.pair("strides") if call.config.get("strides") else window
        padding = str(call.config.get("padding", "valid")).upper()
        batch, height, width, channels = records.shape(call.inputs[0])
        shape = (
            batch,
            windowed(height, window[0], stride[0], padding),
            windowed(width, window[1], stride[1], padding),
            channels,
        )
        options = {"window": window, "stride": stride, "padding": padding}
        return records.step(kind, [call.inputs[0]], shape, call.name, **options)

    return pooled


def _flatten(records: Records, call: Call) -> int:
    batch, *rest = records.shape(call.inputs[0])
    return records.reshape(call.inputs[0], (batch, int(np.prod(rest))), call.name)


def _reshape(records: Records, call: Call) -> int:
    batch, *rest = records.shape(call.inputs[0])
    wanted = [int(size) for size in call.config["target_shape"]]
    if -1 in wanted:
        known = -int(np.prod(wanted))
        wanted[wanted.index(-1)] = int(np.prod(rest)) // max(known, 1)
    return records.reshape(call.inputs[0], (batch, *wanted), call.name)


def _dense(records: Records, call: Call) -> int:
    kernel = call.weight("kernel").T
    bias = call.weights.get("bias", np.zeros(len(kernel), np.float32))
    shape = (*records.shape(call.inputs[0])[:-1], len(kernel))
    parts = [call.inputs[0], records.constant(kernel), records.constant(bias)]
    value = records.step("FULLY_CONNECTED", parts, shape, call.name)
    return _activated(records, value, call.config.get("activation"), call.name)


def _prelu(records: Records, call: Call) -> int:
    slopes = records.constant(call.weight("alpha"))
    return records.same("PRELU", [call.inputs[0], slopes], call.name)


def _layer_norm(records: Records, call: Call) -> int:
    value, shape = call.inputs[0], records.shape(call.inputs[0])
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(shape) - 1) or call.config.get("rms_scaling"):
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    name, axes = call.name, records.constant([len(shape) - 1], whole=True)
    mean = records.step("MEAN", [value, axes], (*shape[:-1], 1), f"{name}/mean")
    square = records.same("SQUARED_DIFFERENCE", [value, mean], f"{name}/square")
    variance = records.step("MEAN", [square, axes], (*shape[:-1], 1), f"{name}/variance")
    epsilon = records.constant(call.config.get("epsilon", 1e-3))
    variance = records.same("ADD", [variance, epsilon], f"{name}/above_0")
    scale = records.same("RSQRT", [variance], f"{name}/scale")
    value = records.same("MUL", [records.same("SUB", [value, mean], name), scale], name)
    gamma, beta = (call.weights.get(one, default) for one, default in (("gamma", 1), ("beta", 0)))
    return _affine(records, call, value, gamma, beta)


def _unit_length(records: Records, call: Call) -> int:
    if call.config.get("axis", -1) not in (-1, len(records.shape(call.inputs[0])) - 1):
        raise CheckpointError(f"{call.name} normalises another axis than the last")
    return records.same("L2_NORMALIZATION", call.inputs, call.name)


def _resizing(records: Records, call: Call) -> int:
    batch, height, width, channels = records.shape(call.inputs[0])
    wanted = int(call.config["height"]), int(call.config["width"])
    kind = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}.get(
        str(call.config.get("interpolation", "bilinear"))
    )
    fits = any(call.config.get(f"{way}_to_aspect_ratio") for way in ("crop", "pad"))
    if kind is None or call.config.get("antialias") or (fits and height != width):
        raise CheckpointError(f"{call.name} resizes in another way than bilinear or nearest")
    if (height, width) == wanted:
        return call.inputs[0]
    parts = [call.inputs[0], records.constant(wanted, whole=True)]
    return records.step(kind, parts, (batch, *wanted, channels), call.name)


def _center_crop(records: Records, call: Call) -> int:
    _, *sides, _ = records.shape(call.inputs[0])
    wanted = int(call.config["height"]), int(call.config["width"])
    if any(side < size for side, size in zip(sides, wanted, strict=True)):
        raise CheckpointError(f"{call.name} cuts {wanted} out of {tuple(sides)}")
    starts = [(side - size) // 2 for side, size in zip(sides, wanted, strict=True)]
    return _cut(records, call, starts, wanted)


def _cropping(records: Records, call: Call) -> int:
    found = call.config.get("cropping", 0)
    found = [[found, found]] * 2 if isinstance(found, int) else found
    edges = [(one, one) if isinstance(one, int) else tuple(one) for one in found]
    _, *sides, _ = records.shape(call.inputs[0])
    wanted = [side - sum(edge) for side, edge in zip(sides, edges, strict=True)]
    return _cut(records, call, [edge[0] for edge in edges], wanted)


def _cut(records: Records, call: Call, starts: Sequence[int], sizes: Sequence[int]) -> int:
    batch, _, _, channels = records.shape(call.inputs[0])
    begin = records.constant([0, *starts, 0], whole=True)
    shape = (batch, *sizes, channels)
    size = records.constant(shape, whole=True)
    return records.step("SLICE", [call.inputs[0], begin, size], shape, call.name)


def _permute(records: Records, call: Call) -> int:
    order = [0, *map(int, call.config["dims"])]
    shape = records.shape(call.inputs[0])
    if sorted(order) != list(range(len(shape))):
        raise CheckpointError(f"{call.name} has the order {order[1:]}")
    if order == list(range(len(shape))):
        return call.inputs[0]
    parts = [call.inputs[0], records.constant(order, whole=True)]
    return records.step("TRANSPOSE", parts, tuple(shape[axis] for axis in order), call.name)


def _average(records: Records, call: Call) -> int:
    total = _merge("ADD")(records, call)
    return records.same("DIV", [total, records.constant(len(call.inputs))], call.name)


def _activation(records: Records, call: Call) -> int:
    return _activated(records, call.inputs[0], call.config.get("activation"), call.name)


def _leaky_relu(records: Records, call: Call) -> int:
    slope = call.config.get("negative_slope", call.config.get("alpha", 0.3))
    return records.same("LEAKY_RELU", call.inputs, call.name, alpha=float(slope))


def _elu(records: Records, call: Call) -> int:
    if call.config.get("alpha", 1.0) != 1.0:
        raise CheckpointError(f"{call.name} is an ELU with another alpha than 1")
    return records.same("ELU", call.inputs, call.name)


def _softmax(records: Records, call: Call) -> int:
    if call.config.get("axis", -1) not in (-1, len(records.shape(call.inputs[0])) - 1):
        raise CheckpointError(f"{call.name} is a softmax over another axis")
    return records.same("SOFTMAX", call.inputs, call.name)


def _arithmetic(kind: str) -> Layer:
    def computed(records: Records, call: Call) -> int:
        if len(call.inputs) == 2:
            return records.same(kind, call.inputs, call.name)
        if len(call.inputs) != 1 or len(call.numbers.values) != 1:
            raise CheckpointError(f"{call.name} is no arithmetic of one value and one number")
        operands = [call.inputs[0], records.constant(call.numbers.values[0])]
        if call.numbers.first:
            operands.reverse()
        return records.step(kind, operands, records.shape(call.inputs[0]), call.name)

    return computed


LAYERS: dict[str, Layer] = {
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "PReLU": _prelu,
    "LayerNormalization": _layer_norm,
    "UnitNormalization": _unit_length,
    "Resizing": _resizing,
    "CenterCrop": _center_crop,
    "Cropping2D": _cropping,
    "Permute": _permute,
    "Average": _average,
    "Maximum": _merge("MAXIMUM"),
    "Minimum": _merge("MINIMUM"),
    "ZeroPadding2D": _padding,
    "Concatenate": _concatenate,
    "GlobalAveragePooling2D": _global_pool("MEAN"),
    "GlobalMaxPooling2D": _global_pool("REDUCE_MAX"),
    "AveragePooling2D": _pool("AVERAGE_POOL_2D"),
    "MaxPooling2D": _pool("MAX_POOL_2D"),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dense": _dense,
    "Activation": _activation,
    "Softmax": _softmax,
    "Add": lambda records, call: (_merge("ADD") if len(call.inputs) > 1 else _arithmetic("ADD"))(
        records, call
    ),
    "Multiply": lambda records, call: (
        _merge("MUL") if len(call.inputs) > 1 else _arithmetic("MUL")
    )(records, call),
    "Subtract": _arithmetic("SUB"),
    "TrueDivide": _arithmetic("DIV"),
    "Divide": _arithmetic("DIV"),
}
