"""The nodes and constants of an ONNX file, as far as one needs them to walk through a graph."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.arrays import Array
from app.card.protobuf import Message

# Numbers of the fields in onnx.proto.
GRAPH = 7  # of ModelProto
NODE, INITIALIZER = 1, 5  # of GraphProto
INPUT, OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
ATTRIBUTE_NAME, NUMBER, TENSOR = 1, 3, 5  # of AttributeProto
DIMENSIONS, DATA_TYPE, FLOATS, INT32S, NAME, RAW = 1, 2, 4, 5, 8, 9  # of TensorProto
FLOAT = 1
DTYPES = {FLOAT: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8"}  # of TensorProto.DataType


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node; `numbers` are its integer attributes, such as `transB`."""

    op: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[str, int]


class OnnxGraph:
    """Which node makes a value, and the constants."""

    def __init__(self, model: bytes) -> None:
        """Raises ValueError if it is no ONNX model."""
        graphs = Message.parse(model).all(GRAPH)
        if len(graphs) != 1:
            raise ValueError("it has no graph")
        graph = Message.parse(graphs[0])
        tensors = [Message.parse(part) for part in graph.all(INITIALIZER)]
        self._tensors = {tensor.texts(NAME)[0]: tensor for tensor in tensors if tensor.all(NAME)}
        self._makers: dict[str, Node] = {}
        for part in graph.all(NODE):
            message = Message.parse(part)
            node = _node(message)
            self._makers.update(dict.fromkeys(node.outputs, node))
            if node.op == "Constant":
                self._tensors.update(_constant(message, node.outputs[0]))

    @classmethod
    def read(cls, path: Path) -> "OnnxGraph":
        """Read a file.

        Raises:
            ValueError: it is no ONNX model.
            OSError: it cannot be read.
        """
        return cls(path.read_bytes())

    def maker(self, value: str) -> Node | None:
        """The node that makes a value; None for inputs and constants."""
        node = self._makers.get(value)
        return None if node is None or node.op == "Constant" else node

    def constant(self, value: str) -> Array | None:
        """A constant of the graph, dequantised if a DequantizeLinear reads it."""
        if value in self._tensors:
            return _array(self._tensors[value])
        node = self.maker(value)
        if node is None or node.op != "DequantizeLinear":
            return None
        stored, scale, zero = (*map(self.constant, node.inputs), np.zeros(1, np.float32))[:3]
        if stored is None or scale is None or zero is None:
            return None
        by_channel = [-1 if at == node.numbers.get("axis", 1) else 1 for at in range(stored.ndim)]
        scale, zero = (one.reshape(by_channel if one.size > 1 else ()) for one in (scale, zero))
        values: Array = (stored.astype(np.float32) - zero.astype(np.float32)) * scale
        return values


def _node(message: Message) -> Node:
    attributes = [Message.parse(part) for part in message.all(ATTRIBUTE)]
    numbers = {one.texts(ATTRIBUTE_NAME)[0]: one.value(NUMBER) for one in attributes}
    return Node(
        message.texts(OP_TYPE)[0],
        message.texts(INPUT),
        message.texts(OUTPUT),
        {name: value for name, value in numbers.items() if isinstance(value, int)},
    )


def _constant(message: Message, name: str) -> dict[str, Message]:
    """The tensor of a Constant, if it has one."""
    parts = [Message.parse(part) for part in message.all(ATTRIBUTE)]
    tensors = [tensor for part in parts for tensor in part.all(TENSOR)]
    return {name: Message.parse(tensors[0])} if tensors else {}


def _array(tensor: Message) -> Array | None:
    """The values of a tensor; None if they are of another type, or in another file."""
    kind = tensor.value(DATA_TYPE)
    if not isinstance(kind, int) or kind not in DTYPES:
        return None
    dtype, shape = np.dtype(DTYPES[kind]), tensor.numbers(DIMENSIONS)
    if tensor.all(RAW):
        values = np.frombuffer(tensor.all(RAW)[0], dtype)
    elif kind == FLOAT:
        values = np.frombuffer(b"".join(tensor.all(FLOATS)), dtype)
    else:
        values = np.array(tensor.numbers(INT32S), np.uint64).astype(dtype)
    return values.reshape(shape) if values.size == np.prod(shape, dtype=int) else None
