"""Convolutions and dense layers."""

import numpy as np

from app.arrays import Float32Array
from models.translation.keras.activations import activated
from models.translation.keras.call import Call
from models.translation.keras.records import Records, windowed


def convolution(records: Records, call: Call) -> int:
    kernel = call.weight("kernel").transpose(3, 0, 1, 2)
    return _convolved(records, call, "CONV_2D", kernel, kernel.shape[0], call.inputs[0])


def depthwise(records: Records, call: Call) -> int:
    value = _depthwise_map(records, call, call.weights.get("bias"))
    return activated(records, value, call.config.get("activation"), call.name)


def separable(records: Records, call: Call) -> int:
    between = _depthwise_map(records, call, None)
    kernel = call.weight("pointwise_kernel").transpose(3, 0, 1, 2)
    bias = call.weights.get("bias", np.zeros(len(kernel), np.float32))
    parts = [between, records.constant(kernel), records.constant(bias)]
    shape = (*records.shape(between)[:3], len(kernel))
    value = records.step("CONV_2D", parts, shape, call.name, padding="VALID")
    return activated(records, value, call.config.get("activation"), call.name)


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
    return activated(records, value, call.config.get("activation"), call.name)


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


def dense(records: Records, call: Call) -> int:
    kernel = call.weight("kernel").T
    bias = call.weights.get("bias", np.zeros(len(kernel), np.float32))
    shape = (*records.shape(call.inputs[0])[:-1], len(kernel))
    parts = [call.inputs[0], records.constant(kernel), records.constant(bias)]
    value = records.step("FULLY_CONNECTED", parts, shape, call.name)
    return activated(records, value, call.config.get("activation"), call.name)
