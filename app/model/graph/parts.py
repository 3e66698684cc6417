"""The parts of an ONNX graph that its rewriting reads, with their numbers in onnx.proto."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from app.arrays import Array
from app.card.protobuf import LENGTH, VARINT, Field, Message

GRAPH = 7  # of ModelProto
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13  # of GraphProto
NODE_INPUT, NODE_OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
ATTRIBUTE_NAME, INTEGER, INTEGERS, ATTRIBUTE_TYPE = 1, 3, 8, 20  # of AttributeProto
DIMENSION, DATA_TYPE, TENSOR_NAME, RAW_DATA = 1, 2, 8, 9  # of TensorProto
VALUE_NAME, VALUE_TYPE = 1, 2  # of ValueInfoProto
TENSOR_TYPE, ELEMENT_TYPE = 1, 1  # of TypeProto, and of its Tensor
UINT8, INT8 = 2, 3  # TensorProto.DataType
DATA_TYPES = {1: "<f4", UINT8: "u1", INT8: "i1", 6: "<i4", 7: "<i8"}
INTEGERS_TYPE = 7  # AttributeProto.AttributeType
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
MOVES = {"Transpose", "Flatten", "Reshape", "Identity", "Squeeze", "Unsqueeze"}  # values unchanged


class UnexpectedGraph(ValueError):
    """The graph has something that its rewriting might not preserve."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    op: str
    inputs: list[str]
    outputs: list[str]
    fields: Message

    @classmethod
    def read(cls, part: bytes) -> "Node":
        fields = Message.parse(part)
        [op] = fields.texts(OP_TYPE)
        return cls(op, fields.texts(NODE_INPUT), fields.texts(NODE_OUTPUT), fields)

    @property
    def attributes(self) -> dict[str, list[int]]:
        """Those of integers by name, and others without values."""
        given = map(Message.parse, self.fields.all(ATTRIBUTE))
        return {
            one.texts(ATTRIBUTE_NAME)[0]: one.numbers(INTEGERS) or one.numbers(INTEGER)
            for one in given
        }

    @property
    def zero_point(self) -> str | None:
        affine = self.op in (QUANTIZE, DEQUANTIZE) and len(self.inputs) == 3
        return self.inputs[2] if affine else None


def rewritten(model: bytes, rewrite: Callable[[Message], Message]) -> bytes | None:
    """The ONNX model with another graph; None if it is no model, or has an unexpected graph."""
    try:
        read = Message.parse(model)
        [graph] = read.all(GRAPH)
        return read.replaced({GRAPH: rewrite(Message.parse(graph)).serialized()}).serialized()
    except ValueError:
        return None


def names(graph: Message, number: int) -> set[str]:
    """Names of the graph's inputs or outputs."""
    return {name for part in graph.all(number) for name in Message.parse(part).texts(VALUE_NAME)}


def tensors_by_name(graph: Message) -> dict[str, Message]:
    tensors = map(Message.parse, graph.all(INITIALIZER))
    return {tensor.texts(TENSOR_NAME)[0]: tensor for tensor in tensors}


def array(tensor: Message) -> Array:
    """The values of a tensor.

    Raises:
        UnexpectedGraph: they have another type, or are not stored as raw bytes.
    """
    kind, raw = tensor.value(DATA_TYPE), tensor.all(RAW_DATA)
    if kind not in DATA_TYPES or len(raw) != 1:
        raise UnexpectedGraph("a tensor of an unexpected kind")
    return np.frombuffer(raw[0], DATA_TYPES[kind]).reshape(tensor.numbers(DIMENSION))


def tensor_fields(name: str, values: Array) -> Message:
    [kind] = (number for number, dtype in DATA_TYPES.items() if values.dtype == dtype)
    return Message(
        [
            *(Field(DIMENSION, VARINT, length) for length in values.shape),
            Field(DATA_TYPE, VARINT, kind),
            Field(TENSOR_NAME, LENGTH, name.encode()),
            Field(RAW_DATA, LENGTH, values.tobytes()),
        ]
    )


def attribute_fields(attributes: dict[str, list[int]]) -> Iterator[Field]:
    """Fields of a node, for attributes that are lists."""
    for name, values in attributes.items():
        content = Message(
            [
                Field(ATTRIBUTE_NAME, LENGTH, name.encode()),
                *(Field(INTEGERS, VARINT, value) for value in values),
                Field(ATTRIBUTE_TYPE, VARINT, INTEGERS_TYPE),
            ]
        )
        yield Field(ATTRIBUTE, LENGTH, content.serialized())
