"""Small `.tflite` files, one for each way of using an operator, with random weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tests.models.checkpoints.tflite.tflite_files import File, FileOperator, FileTensor

SIDE, CHANNELS, CLASSES = 9, 3, 4
PIXELS = np.random.default_rng(5).integers(0, 256, (2, SIDE, SIDE, CHANNELS)).astype(np.uint8)
SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3
PRECISIONS = ("float32", "float16", "dynamic", "uint8", "int8", "per_channel")


@dataclass
class Builder:
    """Adds operators to a graph, in one of the precisions that converters write.

    A quantised activation ranges over `low` ... `high`, by default -2 ... 2.
    """

    precision: str
    file: File = field(default_factory=lambda: File([], [], [0], []))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    @property
    def stored(self) -> str:
        quantized = {"uint8": "uint8", "int8": "int8", "per_channel": "int8"}
        return quantized.get(self.precision, "float32")

    @property
    def quantized(self) -> bool:
        return self.stored != "float32"

    def image(self) -> int:
        return self.activation("image", (1, SIDE, SIDE, CHANNELS), -1, 1)

    def activation(
        self, name: str, shape: tuple[int, ...], low: float = -2, high: float = 2
    ) -> int:
        affine = None
        if self.quantized:
            scale = (high - low) / 255
            zero = round(-low / scale) - (128 if self.stored == "int8" else 0)
            affine = (scale, zero)
        return self.file.add(name, shape, self.stored, None, affine)

    def constant(self, values: NDArray[Any]) -> int:
        return self.file.add("constant", values.shape, str(values.dtype), values)

    def add(self, kind: str, inputs: list[int], output: int, **options: Any) -> int:
        self.file.operators.append(FileOperator(kind, inputs, [output], options))
        return output

    def kernel(self, shape: tuple[int, ...], axis: int) -> int:
        """A kernel in the precision, perhaps behind a DEQUANTIZE."""
        values = self.random.normal(0, 0.5, shape).astype(np.float32)
        if self.precision == "float32":
            return self.file.add("kernel", shape, "float32", values)
        if self.precision == "float16":
            half = self.file.add("half", shape, "float16", values.astype(np.float16))
            return self.add("DEQUANTIZE", [half], self.file.add("kernel", shape, "float32"))
        if self.precision == "uint8":
            stored = np.clip(np.round(values / 0.02) + 120, 0, 255).astype(np.uint8)
            return self.file.add("kernel", shape, "uint8", stored, (0.02, 120))
        if self.precision == "int8":
            stored = np.clip(np.round(values / 0.02), -127, 127).astype(np.int8)
            return self.file.add("kernel", shape, "int8", stored, (0.02, 0))
        steps = 0.01 + 0.002 * np.arange(shape[axis])
        along = [-1 if at == axis else 1 for at in range(len(shape))]
        stored = np.clip(np.round(values / steps.reshape(along)), -127, 127).astype(np.int8)
        return self.file.add("kernel", shape, "int8", stored, (steps, 0 * steps.astype(int)), axis)

    def bias(self, source: int, kernel: int, channels: int) -> int:
        values = self.random.normal(0, 0.3, channels).astype(np.float32)
        if not self.quantized:
            return self.file.add("bias", (channels,), "float32", values)
        steps = np.array(self.file.tensors[kernel].affine[0], ndmin=1)  # type: ignore[index]  # quantised
        by = self.file.tensors[source].affine[0] * steps  # type: ignore[index]  # quantised
        stored = np.round(values / by).astype(np.int32)
        return self.file.add("bias", (channels,), "int32", stored, (by, np.zeros(len(by), int)))

    def convolution(
        self,
        source: int,
        kind: str = "CONV_2D",
        channels: int = 6,
        window: int = 3,
        stride: int = 1,
        padding: int = SAME,
        activation: int = 0,
        dilation: int = 1,
        range: tuple[float, float] = (-2, 2),
    ) -> int:
        _, side, _, entering = self.file.tensors[source].shape
        reach = (window - 1) * dilation + 1
        made = -(-side // stride) if padding == SAME else (side - reach) // stride + 1
        depthwise = kind == "DEPTHWISE_CONV_2D"
        shape = (1, window, window, channels) if depthwise else (channels, window, window, entering)
        kernel = self.kernel(shape, 3 if depthwise else 0)
        more = {"DepthMultiplier": channels // entering} if depthwise else {}
        return self.add(
            kind,
            [source, kernel, self.bias(source, kernel, channels)],
            self.activation("map", (1, made, made, channels), *range),
            StrideH=stride,
            StrideW=stride,
            Padding=padding,
            FusedActivationFunction=activation,
            DilationHFactor=dilation,
            DilationWFactor=dilation,
            **more,
        )

    def dense(
        self, source: int, units: int, activation: int = 0, biased: bool = True, keep: bool = False
    ) -> int:
        shape = self.file.tensors[source].shape
        kernel = self.kernel((units, int(np.prod(shape))), 0)
        bias = [self.bias(source, kernel, units)] if biased else [-1]
        made = self.activation("dense", (*shape[:-1], units) if keep else (1, units))
        options = {"KeepNumDims": keep, "FusedActivationFunction": activation}
        return self.add("FULLY_CONNECTED", [source, kernel, *bias], made, **options)

    def reshape(self, source: int, shape: tuple[int, ...]) -> int:
        found = self.file.tensors[source]
        wanted = self.constant(np.array(shape, np.int32))
        self.file.tensors.append(FileTensor("shape", shape, found.dtype, None, found.affine))
        return self.add("RESHAPE", [source, wanted], len(self.file.tensors) - 1)

    def mean(self, source: int, keep: bool = False, kind: str = "MEAN") -> int:
        channels = self.file.tensors[source].shape[-1]
        shape = (1, 1, 1, channels) if keep else (1, channels)
        axes = self.constant(np.array([1, 2], np.int32))
        return self.add(kind, [source, axes], self.activation("mean", shape, -1, 1), KeepDims=keep)

    def pool(self, source: int, kind: str, window: int, stride: int, padding: int = VALID) -> int:
        found = self.file.tensors[source]
        side = found.shape[1]
        made = -(-side // stride) if padding == SAME else (side - window) // stride + 1
        shape = (1, made, made, found.shape[3])
        self.file.tensors.append(FileTensor("pool", shape, found.dtype, None, found.affine))
        options = {"FilterHeight": window, "FilterWidth": window, "Padding": padding}
        options |= {"StrideH": stride, "StrideW": stride}
        return self.add(kind, [source], len(self.file.tensors) - 1, **options)

    def pad(self, source: int, before: int, behind: int) -> int:
        found = self.file.tensors[source]
        edges = [before, behind]
        amounts = self.constant(np.array([[0, 0], edges, edges, [0, 0]], np.int32))
        side = found.shape[1] + before + behind
        shape = (1, side, side, found.shape[3])
        self.file.tensors.append(FileTensor("pad", shape, found.dtype, None, found.affine))
        return self.add("PAD", [source, amounts], len(self.file.tensors) - 1)

    def arithmetic(self, kind: str, left: int, right: int, activation: int = 0) -> int:
        made = self.activation(kind.lower(), self.file.tensors[left].shape, -3, 3)
        return self.add(kind, [left, right], made, FusedActivationFunction=activation)

    def unary(self, kind: str, **options: Any) -> int:
        source = self.convolution(self.image())
        shape = self.file.tensors[source].shape
        ends = (-1, 127 / 128) if kind == "TANH" else (-2, 2)  # as LiteRT requires
        return self.add(kind, [source], self.activation(kind.lower(), shape, *ends), **options)

    def done(self, output: int) -> File:
        self.file.outputs = [output]
        return self.file


Made = Callable[[Builder], int]


def _two_maps(b: Builder) -> tuple[int, int]:
    image = b.image()
    return b.convolution(image), b.convolution(image)


def _shifted(b: Builder) -> int:
    """Pixels plus a number, in levels of two thirds of a step: every third sum ends in a half."""
    image = b.activation("pixels", (1, SIDE, SIDE, CHANNELS), -1.5, 1.5)
    number = b.constant(np.array(0.5, np.float32))
    if b.quantized:
        stored = np.array(127 if b.stored == "int8" else 255, b.stored)
        zero = -128 if b.stored == "int8" else 0
        number = b.file.add("number", (), b.stored, stored, (0.5 / 255, zero))
    made = b.activation("shifted", (1, SIDE, SIDE, CHANNELS), -1, 1)
    return b.add("ADD", [image, number], made)


def _concatenation(b: Builder) -> int:
    left, right = _two_maps(b)
    shape = (*b.file.tensors[left].shape[:3], 12)
    return b.add("CONCATENATION", [left, right], b.activation("both", shape), Axis=3)


def _ends(b: Builder) -> int:
    """Pooled, dense, softmax."""
    logits = b.dense(b.mean(b.convolution(b.image())), CLASSES)
    made = b.file.add("probabilities", (1, CLASSES), b.stored, None, _unit(b))
    return b.add("SOFTMAX", [logits], made, Beta=1.0)


def _sigmoid(b: Builder) -> int:
    logits = b.dense(b.mean(b.convolution(b.image())), 1)
    return b.add("LOGISTIC", [logits], b.file.add("p", (1, 1), b.stored, None, _unit(b)))


def _unit(b: Builder) -> tuple[float, int] | None:
    return (1 / 256, -128 if b.stored == "int8" else 0) if b.quantized else None


def _squeezed(b: Builder) -> int:
    return b.reshape(b.convolution(b.mean(b.image(), keep=True), window=1), (1, 6))


def _resized(b: Builder, kind: str, side: int, **options: Any) -> int:
    found = b.file.tensors[source := b.image()]
    size = b.constant(np.array([side, side], np.int32))
    shape = (1, side, side, CHANNELS)
    b.file.tensors.append(FileTensor("resized", shape, found.dtype, None, found.affine))
    return b.add(kind, [source, size], len(b.file.tensors) - 1, **options)


def _cut_out(b: Builder) -> int:
    """Rows 1 to 8 and every second column from 0 on, the ends by masks."""
    found = b.file.tensors[source := b.image()]
    parts = [
        b.constant(np.array(numbers, np.int32))
        for numbers in ([0, 1, 3, 0], [0, -1, 9, 0], [1, 1, 2, 1])
    ]
    b.file.tensors.append(FileTensor("part", (1, 7, 5, 3), found.dtype, None, found.affine))
    return b.add(
        "STRIDED_SLICE", [source, *parts], len(b.file.tensors) - 1, BeginMask=13, EndMask=9
    )


def _slice(b: Builder) -> int:
    found = b.file.tensors[source := b.image()]
    parts = [b.constant(np.array(numbers, np.int32)) for numbers in ([0, 2, 1, 0], [1, 5, -1, 2])]
    b.file.tensors.append(FileTensor("part", (1, 5, 8, 2), found.dtype, None, found.affine))
    return b.add("SLICE", [source, *parts], len(b.file.tensors) - 1)


def _dense_of_places(b: Builder) -> int:
    """The same dense layer for each place of a map, as Edge Impulse has it."""
    rows = b.reshape(b.convolution(b.image(), stride=3), (9, 6))
    kernel = b.kernel((5, 6), 0)
    made = b.activation("dense", (9, 5))
    b.add("FULLY_CONNECTED", [rows, kernel, b.bias(rows, kernel, 5)], made)
    return b.dense(b.reshape(made, (1, 45)), CLASSES)


def _shape_arithmetic(b: Builder) -> int:
    """Flattened to the size that the graph works out, of which the file says 1, 1."""

    def numbers(kind: str, inputs: list[int], shape: tuple[int, ...], **options: Any) -> int:
        return b.add(kind, inputs, b.file.add(kind, shape, "int32"), **options)

    def whole(*values: int) -> int:
        return b.constant(np.array(values, np.int32))

    source = b.convolution(b.image(), stride=3)
    shape = numbers("SHAPE", [source], (4,), OutType=tflite.TensorType.INT32)
    first = numbers("STRIDED_SLICE", [shape, whole(0), whole(1), whole(1)], (), ShrinkAxisMask=1)
    rest = numbers("GATHER", [shape, whole(1, 2, 3)], (3,))
    width = numbers("REDUCE_PROD", [rest, whole(0)], ())
    wanted = numbers("PACK", [first, width], (2,), ValuesCount=2)
    found = b.file.tensors[source]
    b.file.tensors.append(FileTensor("flat", (1, 1), found.dtype, None, found.affine))
    flat = b.add("RESHAPE", [source, wanted], len(b.file.tensors) - 1)
    kernel = b.kernel((CLASSES, 54), 0)
    made = b.activation("dense", (1, CLASSES))
    return b.add("FULLY_CONNECTED", [flat, kernel, b.bias(flat, kernel, CLASSES)], made)


def _layer_norm(b: Builder) -> int:
    value = b.dense(b.mean(b.image()), 8)
    axes = b.constant(np.array([1], np.int32))
    mean = b.add("MEAN", [value, axes], b.activation("mean", (1, 1)), KeepDims=True)
    square = b.add("SQUARED_DIFFERENCE", [value, mean], b.activation("square", (1, 8)))
    variance = b.add("SUM", [square, axes], b.activation("variance", (1, 1)), KeepDims=True)
    scale = b.add("RSQRT", [variance], b.activation("scale", (1, 1)))
    return b.add("MUL", [value, scale], b.activation("made", (1, 8)), FusedActivationFunction=0)


def _slopes(b: Builder) -> int:
    source = b.convolution(b.image())
    slopes = b.constant(np.linspace(0.1, 0.6, 6, dtype=np.float32).reshape(1, 1, 6))
    return b.add("PRELU", [source, slopes], b.activation("slopes", (1, 9, 9, 6)))


def _cast(b: Builder) -> int:
    """Pixels that are no quantised floats."""
    image = b.file.add("image", (1, SIDE, SIDE, CHANNELS), "uint8")
    floats = b.activation("floats", (1, SIDE, SIDE, CHANNELS))
    b.add("CAST", [image], floats)
    by = b.constant(np.array(1 / 255, np.float32))
    return b.add("MUL", [floats, by], b.activation("unit", (1, SIDE, SIDE, CHANNELS)))


CASES: dict[str, Made] = {
    "conv": lambda b: b.convolution(b.image()),
    "conv of stride 2": lambda b: b.convolution(b.image(), stride=2),
    "conv of stride 2, even side": lambda b: b.convolution(b.pad(b.image(), 0, 1), stride=2),
    "conv without padding": lambda b: b.convolution(b.image(), padding=VALID),
    "dilated conv": lambda b: b.convolution(b.image(), dilation=2),
    "conv 5x5": lambda b: b.convolution(b.image(), window=5, stride=2),
    "conv 1x1": lambda b: b.convolution(b.convolution(b.image()), window=1),
    "conv 1x1 of stride 2": lambda b: b.convolution(b.image(), window=1, stride=2),
    "ReLU6": lambda b: b.convolution(b.image(), activation=RELU6, range=(0, 6)),
    "ReLU6 within a range": lambda b: b.convolution(b.image(), activation=RELU6, range=(-1, 9)),
    "ReLU": lambda b: b.convolution(b.image(), activation=RELU, range=(-1, 3)),
    "ReLU by range alone": lambda b: b.convolution(b.image(), range=(0, 1.5)),
    "ReLU from -1 to 1": lambda b: b.convolution(b.image(), activation=RELU_N1_TO_1),
    "depthwise": lambda b: b.convolution(
        b.convolution(b.image()), "DEPTHWISE_CONV_2D", stride=2, activation=RELU6, range=(0, 3)
    ),
    "depthwise of 2": lambda b: b.convolution(b.image(), "DEPTHWISE_CONV_2D", channels=6),
    "pad, conv": lambda b: b.convolution(b.pad(b.image(), 0, 1), stride=2, padding=VALID),
    "pad of both sides": lambda b: b.convolution(b.pad(b.image(), 2, 1), padding=VALID),
    "pad for two": lambda b: (
        lambda padded: b.arithmetic(
            "ADD", b.convolution(padded, padding=VALID), b.convolution(padded, padding=VALID)
        )
    )(b.pad(b.image(), 1, 0)),
    "pad, pool": lambda b: b.pool(b.pad(b.image(), 1, 1), "MAX_POOL_2D", 3, 2),
    "mean": lambda b: b.mean(b.convolution(b.image())),
    "mean that keeps axes": lambda b: b.mean(b.convolution(b.image()), keep=True),
    "pool of the whole map": lambda b: b.pool(b.convolution(b.image()), "AVERAGE_POOL_2D", 9, 1),
    "average pool": lambda b: b.pool(b.image(), "AVERAGE_POOL_2D", 3, 2),
    "padded average pool": lambda b: b.pool(b.image(), "AVERAGE_POOL_2D", 2, 2, SAME),
    "max pool": lambda b: b.pool(b.image(), "MAX_POOL_2D", 3, 2, SAME),
    "sum": lambda b: b.arithmetic("ADD", *_two_maps(b)),
    "sum, ReLU": lambda b: b.arithmetic("ADD", *_two_maps(b), activation=RELU),
    "product": lambda b: b.arithmetic("MUL", *_two_maps(b)),
    "difference": lambda b: b.arithmetic("SUB", *_two_maps(b)),
    "sum with a number": _shifted,
    "concatenation": _concatenation,
    "dense": lambda b: b.dense(b.mean(b.image()), CLASSES),
    "dense without bias": lambda b: b.dense(b.mean(b.image()), CLASSES, biased=False),
    "dense, ReLU, dense": lambda b: b.dense(b.dense(b.mean(b.image()), 8, RELU), CLASSES),
    "dense of a map": lambda b: b.dense(b.convolution(b.image(), stride=3), CLASSES),
    "flattened": lambda b: b.dense(b.reshape(b.convolution(b.image(), stride=3), (1, 54)), CLASSES),
    "dense that keeps axes": lambda b: b.dense(b.mean(b.image(), keep=True), CLASSES, keep=True),
    "squeezed": _squeezed,
    "softmax": _ends,
    "sigmoid": _sigmoid,
    "tanh": lambda b: b.unary("TANH"),
    "hard swish": lambda b: b.unary("HARD_SWISH"),
    "ELU": lambda b: b.unary("ELU"),
    "leaky ReLU": lambda b: b.unary("LEAKY_RELU", Alpha=0.2),
    "bilinear": lambda b: _resized(b, "RESIZE_BILINEAR", 12, HalfPixelCenters=True),
    "bilinear, smaller": lambda b: _resized(b, "RESIZE_BILINEAR", 6, HalfPixelCenters=True),
    "bilinear of old": lambda b: _resized(b, "RESIZE_BILINEAR", 12),
    "bilinear, corners": lambda b: _resized(b, "RESIZE_BILINEAR", 5, AlignCorners=True),
    "nearest": lambda b: _resized(b, "RESIZE_NEAREST_NEIGHBOR", 6, HalfPixelCenters=True),
    "nearest of old": lambda b: _resized(b, "RESIZE_NEAREST_NEIGHBOR", 12),
    "cut out": _cut_out,
    "slice": _slice,
    "dense of places": _dense_of_places,
    "shape arithmetic": _shape_arithmetic,
    "layer norm": _layer_norm,
    "slopes of channels": _slopes,
    "unit length": lambda b: b.add(
        "L2_NORMALIZATION", [b.dense(b.mean(b.image()), 8)], b.activation("made", (1, 8))
    ),
    "GELU": lambda b: b.unary("GELU", Approximate=False),
    "cast": _cast,
}
FLOATS_ALONE = ("layer norm", "slopes of channels", "unit length", "GELU", "cast")
LEFT_OUT = {("ELU", "uint8")}  # of which LiteRT has no kernel
PAIRS = [
    (case, precision)
    for case in CASES
    for precision in PRECISIONS
    if (case, precision) not in LEFT_OUT and (case not in FLOATS_ALONE or precision == "float32")
]


def encode(case: str, precision: str) -> bytes:
    """The file of a case."""
    builder = Builder(precision)
    return builder.done(CASES[case](builder)).encode()
