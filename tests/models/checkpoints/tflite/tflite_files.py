"""Writes `.tflite` files from plain records, so that a test can change anything in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from app.card.card import Family
from models.checkpoints.checkpoint import template

CHANNELS = 8
CLASSES = 5
TYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "uint8": "UINT8",
    "int32": "INT32",
    "int8": "INT8",
    "int16": "INT16",
    "int64": "INT64",
}


@dataclass
class FileTensor:
    """Constant where `values` is given; `affine` is (scale, zero point), or lists along `axis`."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: NDArray[Any] | None = None
    affine: tuple[Any, Any] | None = None
    axis: int = 0


@dataclass
class FileOperator:
    """One operator, as "CUSTOM name" a custom one; `options` None leaves them out."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, Any] | None = field(default_factory=dict)


@dataclass
class File:
    """A model with one subgraph, perhaps with metadata."""

    tensors: list[FileTensor]
    operators: list[FileOperator]
    inputs: list[int]
    outputs: list[int]
    subgraphs: int = 1
    metadata: bytes | None = None

    def add(self, *tensor: Any) -> int:
        self.tensors.append(FileTensor(*tensor))
        return len(self.tensors) - 1

    def find(self, kind: str, nth: int = 0) -> FileOperator:
        return [operator for operator in self.operators if operator.kind == kind][nth]

    def encode(self) -> bytes:
        return _Encoder(self).encode()


OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONCATENATION": "ConcatenationOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "SOFTMAX": "SoftmaxOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "SUM": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "SHAPE": "ShapeOptions",
    "GATHER": "GatherOptions",
    "PACK": "PackOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "CAST": "CastOptions",
    "GELU": "GeluOptions",
}


class _Encoder:
    def __init__(self, file: File) -> None:
        self.file = file
        self.builder = flatbuffers.Builder(1 << 16)

    def encode(self) -> bytes:
        builder, file = self.builder, self.file
        kinds = [operator.kind for operator in file.operators]
        buffers = [self.buffer(tensor.values) for tensor in file.tensors]
        tensors = [self.tensor(tensor, index) for index, tensor in enumerate(file.tensors)]
        operators = [
            self.operator(operator, index) for index, operator in enumerate(file.operators)
        ]
        codes = [self.code(*kind.split(" ", 1)) for kind in kinds]
        metadata = None
        if file.metadata is not None:
            buffers.append(self.buffer(np.frombuffer(file.metadata, np.uint8)))
            name = builder.CreateString("TFLITE_METADATA")
            record = self.table("Metadata", Name=name, Buffer=len(buffers) - 1)
            metadata = self.offsets([record])
        subgraph = self.table(
            "SubGraph",
            Tensors=self.offsets(tensors),
            Operators=self.offsets(operators),
            Inputs=self.numbers(np.array(file.inputs, np.int32)),
            Outputs=self.numbers(np.array(file.outputs, np.int32)),
        )
        model = self.table(
            "Model",
            Version=3,
            OperatorCodes=self.offsets(codes),
            Subgraphs=self.offsets([subgraph] * file.subgraphs),
            Buffers=self.offsets(buffers),
            Metadata=metadata,
        )
        builder.Finish(model, file_identifier=b"TFL3")
        return bytes(builder.Output())

    def code(self, kind: str, name: str | None = None) -> int:
        """The code of an operator; a custom one has a name."""
        custom = None if name is None else self.builder.CreateString(name)
        number = getattr(tflite.BuiltinOperator, kind)
        codes = {"DeprecatedBuiltinCode": min(number, 127)}  # of one byte
        if number > 127:
            codes["BuiltinCode"] = number
        return self.table("OperatorCode", CustomCode=custom, **codes)

    def table(self, kind: str, **fields: Any) -> int:
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            if value is not None:
                getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        end: int = getattr(tflite, f"{kind}End")(self.builder)
        return end

    def offsets(self, items: list[int]) -> int:
        self.builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        end: int = self.builder.EndVector()
        return end

    def numbers(self, values: NDArray[Any]) -> int:
        end: int = self.builder.CreateNumpyVector(values)
        return end

    def buffer(self, values: NDArray[Any] | None) -> int:
        data = None if values is None else self.numbers(np.frombuffer(values.tobytes(), np.uint8))
        return self.table("Buffer", Data=data)

    def tensor(self, tensor: FileTensor, buffer: int) -> int:
        quantization = None
        if tensor.affine:
            scale = self.numbers(np.array(tensor.affine[0], np.float32, ndmin=1))
            zero_point = self.numbers(np.array(tensor.affine[1], np.int64, ndmin=1))
            quantization = self.table(
                "QuantizationParameters",
                Scale=scale,
                ZeroPoint=zero_point,
                QuantizedDimension=tensor.axis,
            )
        return self.table(
            "Tensor",
            Name=self.builder.CreateString(tensor.name),
            Shape=self.numbers(np.array(tensor.shape, np.int32)),
            Type=getattr(tflite.TensorType, TYPES[tensor.dtype]),
            Buffer=buffer,
            Quantization=quantization,
        )

    def operator(self, operator: FileOperator, code: int) -> int:
        options = kind = None
        if operator.kind in OPTIONS and operator.options is not None:
            kind = OPTIONS[operator.kind]
            options = self.table(kind, **operator.options)
        return self.table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self.numbers(np.array(operator.inputs, np.int32)),
            Outputs=self.numbers(np.array(operator.outputs, np.int32)),
            BuiltinOptionsType=getattr(tflite.BuiltinOptions, kind) if kind else None,
            BuiltinOptions=options,
        )


def network(
    family: Family,
    quantized: bool,
    linear: str = "CONV_2D",
    pool: str = "AVERAGE_POOL_2D",
    signed: bool = False,
) -> File:
    """A network of the family for 32x32 pixels, 8 channels everywhere, with random weights.

    A quantised one is of 2018's kind, or, if `signed`, as today's converter writes it.
    """
    rng = np.random.default_rng(0)
    activation = "float32"
    if quantized:
        activation = "int8" if signed else "uint8"
    file = File([], [], [0], [])
    size = 32

    def activations(name: str, shape: tuple[int, ...], affine: tuple[float, int]) -> int:
        stored = (affine[0], affine[1] - 128 * signed) if quantized else None
        return file.add(name, shape, activation, None, stored)

    made = {"image": activations("image", (1, size, size, 3), (1 / 128, 128))}
    for node in template(family).nodes:
        source = made[node.inputs[0]]
        shape, stored = file.tensors[source].shape, file.tensors[source].affine or (0.0, 0)
        affine = (stored[0], stored[1] + 128 * signed)
        kind = node.layer.kind
        if kind == "add":
            out = activations(node.name, shape, (0.5, 130))
            file.operators.append(
                FileOperator("ADD", [made[name] for name in reversed(node.inputs)], [out])
            )
        elif kind == "global_pool":
            out = activations(node.name, (1, 1, 1, CHANNELS), affine)
            options = {"FilterHeight": size, "FilterWidth": size, "StrideH": 1, "StrideW": 1}
            options |= {"Padding": tflite.Padding.VALID}
            options = {"KeepDims": True} if pool == "MEAN" else options
            file.operators.append(FileOperator(pool, [source], [out], options))
        else:
            size = -(-size // node.layer.stride)
            channels = CLASSES if kind == "linear" else CHANNELS
            out = activations(node.name, (1, size, size, channels), (6 / 255, 0))
            operator = {"depthwise": "DEPTHWISE_CONV_2D", "linear": linear}.get(kind, "CONV_2D")
            height, width = node.layer.kernel
            ohwi = (channels, height, width, 1 if kind == "depthwise" else shape[-1])
            if kind == "depthwise":
                ohwi = (1, height, width, channels)
            if operator == "FULLY_CONNECTED":
                ohwi = (channels, shape[-1])  # type: ignore[assignment]  # two sides, not four
            kernel, bias = _weights(rng, ohwi, channels, quantized)
            scales: tuple[Any, Any] = (None, None)
            if signed:
                kernel = kernel.astype(np.int8)
                steps = (np.arange(channels) + 1) / 64
                zeros = np.zeros(channels, np.int64)
                scales = ((steps, zeros), (affine[0] * steps, zeros))
            elif quantized:
                scales = ((0.25, 120), (affine[0] * 0.25, 0))
            axis = 3 if kind == "depthwise" else 0
            inputs = [
                source,
                file.add(f"{node.name}/kernel", ohwi, str(kernel.dtype), kernel, scales[0], axis),
                file.add(f"{node.name}/bias", (channels,), str(bias.dtype), bias, scales[1]),
            ]
            file.operators.append(
                FileOperator(operator, inputs, [out], _options(node.layer, operator))
            )
        made[node.name] = out
    logits = activations("squeezed", (1, CLASSES), (6 / 255, 0))
    probabilities = activations("probabilities", (1, CLASSES), (1 / 256, 0))
    file.operators.append(FileOperator("RESHAPE", [made["classifier"]], [logits]))
    file.operators.append(FileOperator("SOFTMAX", [logits], [probabilities], {"Beta": 1.0}))
    file.outputs = [probabilities]
    return file


def _weights(
    rng: np.random.Generator, shape: tuple[int, ...], channels: int, quantized: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    if quantized:
        return rng.integers(0, 256, shape).astype(np.uint8), rng.integers(
            -99, 99, channels, np.int32
        )
    return rng.random(shape, np.float32), rng.random(channels, np.float32)


def _options(layer: Any, operator: str) -> dict[str, Any]:
    activation = getattr(layer, "activation", None)
    fused = (
        tflite.ActivationFunctionType.RELU6 if activation else tflite.ActivationFunctionType.NONE
    )
    options: dict[str, Any] = {"FusedActivationFunction": fused}
    if operator == "FULLY_CONNECTED":
        return options
    return options | {
        "StrideH": layer.stride,
        "StrideW": layer.stride,
        "Padding": tflite.Padding.SAME,
        "DilationHFactor": 1,
        "DilationWFactor": 1,
    }


def split(file: File) -> tuple[File, File]:
    """The same network in two files that meet behind the pooling."""
    at = file.operators.index(file.find("AVERAGE_POOL_2D")) + 1
    joint = file.operators[at - 1].outputs
    first = File(file.tensors, file.operators[:at], file.inputs, joint)
    return first, File(file.tensors, file.operators[at:], joint, file.outputs)


Change = Callable[[File], object]
