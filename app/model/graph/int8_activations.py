"""A quantised graph with int8 instead of uint8 activations.

ARM with dot products multiplies int8 by int8 with fewer instructions; x86, and ARM without, prefer
uint8, which the files have. Values and zero points 128 lower stand for the same reals, and
onnxruntime rounds both alike, so all answers stay equal bit for bit. Only the zero points change,
and the type of the image, from which `Int8Input` takes the 128. An image that is also read in
another way is quantised once more where it enters. A graph with anything else is left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from app.card.card import INPUT as IMAGE
from app.card.protobuf import LENGTH, Field, Message, message
from app.model.graph.parts import (
    DATA_TYPE,
    DEQUANTIZE,
    DIMENSION,
    ELEMENT_TYPE,
    INITIALIZER,
    INPUT,
    INT8,
    MOVES,
    NODE,
    NODE_INPUT,
    NODE_OUTPUT,
    OP_TYPE,
    OUTPUT,
    QUANTIZE,
    RAW_DATA,
    TENSOR_NAME,
    TENSOR_TYPE,
    UINT8,
    VALUE_INFO,
    VALUE_TYPE,
    Node,
    UnexpectedGraph,
    names,
    rewritten,
    tensors_by_name,
)


class Int8Input:
    """A session over a graph with an int8 image, which is given the image in uint8."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @classmethod
    def around(cls, session: Any) -> Any:
        """The session itself if its image is uint8."""
        kinds = {value.name: value.type for value in session.get_inputs()}
        return cls(session) if kinds.get(IMAGE) == "tensor(int8)" else session

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, Any], *options: Any) -> Any:
        image = np.bitwise_xor(feed[IMAGE], 0x80).view(np.int8)
        return self._session.run(outputs, {IMAGE: image}, *options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def with_int8_activations(model: bytes) -> bytes | None:
    """The ONNX model with int8 activations; None if it has no uint8 ones, or is unexpected."""
    return rewritten(model, _changed)


def _changed(graph: Message) -> Message:
    nodes = [Node.read(part) for part in graph.all(NODE)]
    inputs = names(graph, INPUT)
    if graph.all(VALUE_INFO):
        raise UnexpectedGraph("types of activations are stated")
    zeros = _zero_points(nodes, tensors_by_name(graph))
    entries = _entries(nodes, zeros, inputs)
    _check_readers(nodes, names(graph, OUTPUT))
    if entries and _reads_only(nodes, inputs, entries):
        graph, entries = Message(map(_with_int8_input, graph)), []
    kept = {node.inputs[2] for node in entries}
    return Message(_fields(graph, nodes, zeros, entries, kept))


def _reads_only(nodes: list[Node], inputs: set[str], entries: list[Node]) -> bool:
    """Whether the inputs are only moved, and dequantised by `entries`."""
    moved = set(inputs)
    for node in nodes:  # in topological order
        reads = not moved.isdisjoint(node.inputs)
        if reads and node.op in MOVES:
            moved.update(node.outputs)
        elif reads and node not in entries:
            return False
    return True


def _with_int8_input(field: Field) -> Field:
    """The field of a graph; an input of it with the element type int8."""
    if field.number != INPUT:
        return field
    value = Message.parse(field.content)
    [kind] = map(Message.parse, value.all(VALUE_TYPE))
    [tensor] = map(Message.parse, kind.all(TENSOR_TYPE))
    if tensor.value(ELEMENT_TYPE) != UINT8:
        raise UnexpectedGraph("an input is not uint8")
    signed = kind.replaced({TENSOR_TYPE: tensor.replaced({ELEMENT_TYPE: INT8}).serialized()})
    return field._replace(value=value.replaced({VALUE_TYPE: signed.serialized()}).serialized())


def _fields(
    graph: Message, nodes: list[Node], zeros: set[str], entries: list[Node], kept: set[str]
) -> Iterator[Field]:
    following = iter(nodes)
    for field in graph:
        if field.number == NODE and (node := next(following)) in entries:
            yield from (Field(NODE, LENGTH, part) for part in _requantised(node))
        elif field.number == INITIALIZER:
            tensor = Message.parse(field.content)
            [name] = tensor.texts(TENSOR_NAME)
            if name in kept:
                renamed = tensor.replaced({TENSOR_NAME: _unsigned(name).encode()})
                yield field._replace(value=renamed.serialized())
            yield field._replace(value=_signed(tensor)) if name in zeros else field
        else:
            yield field


def _zero_points(nodes: list[Node], tensors: dict[str, Message]) -> set[str]:
    """Names of the uint8 zero points of activations, which nothing else reads."""
    found = set()
    for node in nodes:
        name = node.zero_point
        if node.op == QUANTIZE and name not in tensors:
            raise UnexpectedGraph("a QuantizeLinear without a stored zero point")
        if name in tensors and tensors[name].value(DATA_TYPE) == UINT8:
            found.add(name)
    for name in found:
        raw, scalar = tensors[name].all(RAW_DATA), tensors[name].value(DIMENSION) is None
        if not scalar or [len(part) for part in raw] != [1]:
            raise UnexpectedGraph(f"{name} is not one stored byte")
    for node in nodes:
        others = node.inputs[:2] if node.zero_point else node.inputs
        if not found.isdisjoint(others):
            raise UnexpectedGraph(f"a {node.op} reads a zero point")
    if not found:
        raise UnexpectedGraph("no uint8 activations")
    return found


def _entries(nodes: list[Node], zeros: set[str], inputs: set[str]) -> list[Node]:
    """The nodes that dequantise an input of the graph; the others read what was quantised."""
    makers = {output: node for node in nodes for output in node.outputs}
    found = []
    for node in nodes:
        if node.op != DEQUANTIZE or node.zero_point not in zeros:
            continue
        source = node.inputs[0]
        while source in makers and makers[source].op in MOVES:
            source = makers[source].inputs[0]
        if source in inputs:
            found.append(node)
        elif source not in makers or makers[source].op != QUANTIZE:
            raise UnexpectedGraph(f"{node.inputs[0]} was not quantised here")
    return found


def _check_readers(nodes: list[Node], outputs: set[str]) -> None:
    """Check that integers are only moved and dequantised, and are no output of the graph."""
    integers: set[str] = set()
    for node in nodes:  # in topological order
        reads = not integers.isdisjoint(node.inputs)
        if node.op == QUANTIZE or (reads and node.op in MOVES):
            integers.update(node.outputs)
        elif reads and node.op != DEQUANTIZE:
            raise UnexpectedGraph(f"a {node.op} reads integers")
    if not integers.isdisjoint(outputs):
        raise UnexpectedGraph("an output of the graph is in integers")


def _requantised(node: Node) -> Iterator[bytes]:
    """The node as it came, then the same reals as int8."""
    source, scale, zero = node.inputs
    [output] = node.outputs
    floats, integers = f"{output}.uint8", f"{output}.int8"
    for op, given, made in (
        (DEQUANTIZE, [source, scale, _unsigned(zero)], floats),
        (QUANTIZE, [floats, scale, zero], integers),
        (DEQUANTIZE, [integers, scale, zero], output),
    ):
        named = [(NODE_INPUT, name) for name in given]
        yield message([*named, (NODE_OUTPUT, made), (OP_TYPE, op)])


def _unsigned(name: str) -> str:
    return f"{name}.uint8"


def _signed(tensor: Message) -> bytes:
    """A zero point 128 lower: the same bits but the highest."""
    [raw] = tensor.all(RAW_DATA)
    changed: dict[int, int | bytes] = {DATA_TYPE: INT8, RAW_DATA: bytes([raw[0] ^ 0x80])}
    return tensor.replaced(changed).serialized()
