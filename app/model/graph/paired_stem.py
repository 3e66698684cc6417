"""A quantised graph whose first convolution computes two neighbours of a row at once.

Its kernels have three channels, so that gathering their inputs takes as long as multiplying them.
Kernels that are wider by the stride, and hold the weights at their left or at their right, share
what is gathered between two neighbours, as twice the channels; in memory, these are the same row.
The added weights stand for 0, so every sum of integers stays what it was. A graph that starts with
anything but a 3x3 convolution with stride 2 is left alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from app.arrays import Array
from app.card.card import INPUT as IMAGE
from app.card.card import Resolutions
from app.card.protobuf import LENGTH, Field, Message, message
from app.model.graph.parts import (
    ATTRIBUTE,
    DEQUANTIZE,
    INITIALIZER,
    MOVES,
    NODE,
    NODE_INPUT,
    NODE_OUTPUT,
    OP_TYPE,
    OUTPUT,
    QUANTIZE,
    TENSOR_NAME,
    VALUE_INFO,
    Node,
    UnexpectedGraph,
    array,
    attribute_fields,
    names,
    rewritten,
    tensor_fields,
    tensors_by_name,
)

KERNEL, STRIDE = 3, 2
WIDE = KERNEL + STRIDE
DEFAULTS = {"group": [1], "dilations": [1, 1], "pads": [0, 0, 0, 0]}
STEM = {"kernel_shape": [KERNEL, KERNEL], "strides": [STRIDE, STRIDE]}


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution, what dequantises its constants, and what quantises its output."""

    convolution: Node
    weight: Node
    bias: Node
    quantise: Node


def with_paired_stem(model: bytes, resolutions: Resolutions) -> bytes | None:
    """The ONNX model with a paired stem; None if its graph starts in another way."""
    return rewritten(model, lambda graph: _paired(graph, resolutions))


def _paired(graph: Message, resolutions: Resolutions) -> Message:
    if graph.all(VALUE_INFO):
        raise UnexpectedGraph("shapes of activations are stated")
    nodes = [Node.read(part) for part in graph.all(NODE)]
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(names(graph, OUTPUT))
    stem = _stem(nodes, readers)
    attributes = _attributes(stem.convolution, resolutions)
    tensors = _tensors(stem, _stored(stem, tensors_by_name(graph)), readers)
    return Message(_fields(graph, nodes, stem, attributes, tensors))


def _stem(nodes: list[Node], readers: Counter[str]) -> Stem:
    moved, found = {IMAGE}, []
    for node in nodes:  # in topological order
        if moved.isdisjoint(node.inputs):
            continue
        if node.op in MOVES or node.op == DEQUANTIZE:
            moved.update(node.outputs)
        else:
            found.append(node)
    [convolution] = found
    [output] = convolution.outputs
    _, *constants = convolution.inputs
    makers = {name: node for node in nodes for name in node.outputs}
    weight, bias = (makers.get(name, convolution) for name in constants)
    [quantise] = [node for node in nodes if output in node.inputs]
    stem = Stem(convolution, weight, bias, quantise)
    ops = [node.op for node in (convolution, weight, bias, quantise)]
    if ops != ["Conv", DEQUANTIZE, DEQUANTIZE, QUANTIZE]:
        raise UnexpectedGraph("the image is not read by one quantised convolution")
    if any(readers[name] != 1 for name in (*constants, output)):
        raise UnexpectedGraph("the convolution shares its values")
    return stem


def _attributes(convolution: Node, resolutions: Resolutions) -> dict[str, list[int]]:
    given = {**DEFAULTS, **convolution.attributes}
    top, left, bottom, right = pads = given["pads"]
    if given != {**DEFAULTS, **STEM, "pads": pads}:
        raise UnexpectedGraph("not a 3x3 convolution with stride 2")
    sides = range(resolutions.minimum, resolutions.maximum + 1, resolutions.step)
    outputs = (sides[0] + left + right - KERNEL) // STRIDE + 1
    if outputs % 2 or any(side % (2 * STRIDE) for side in sides):
        raise UnexpectedGraph("rows of an odd length")
    needed = (outputs // 2 - 1) * 2 * STRIDE + WIDE
    return {
        "kernel_shape": [KERNEL, WIDE],
        "strides": [STRIDE, 2 * STRIDE],
        "pads": [top, left, bottom, max(0, needed - left - sides[0])],
    }


def _stored(stem: Stem, tensors: Mapping[str, Message]) -> dict[str, Array]:
    needed = (*stem.weight.inputs, *stem.bias.inputs, *stem.quantise.inputs[1:])
    if not tensors.keys() >= set(needed):
        raise UnexpectedGraph("a constant of the convolution is not stored")
    return {name: array(tensors[name]) for name in needed}


def _tensors(stem: Stem, stored: Mapping[str, Array], readers: Counter[str]) -> dict[str, Array]:
    """The tensors that change: those with values for each channel, twice."""
    name, *affine = stem.weight.inputs
    per_channel = {one for one in (*affine, *stem.bias.inputs) if stored[one].size != 1}
    if any(stored[one].size != 1 for one in stem.quantise.inputs[1:]):
        raise UnexpectedGraph("the output is quantised by channel")
    if not per_channel.isdisjoint(affine) and stem.weight.attributes != {"axis": [0]}:
        raise UnexpectedGraph("the weights are not quantised by output channel")
    if any(readers[one] != 1 for one in (name, *per_channel)):
        raise UnexpectedGraph("constants of the convolution are read elsewhere, too")
    weights = stored[name]
    if weights.dtype == np.int8 and weights.min() < -127:
        # A Cortex-A72's kernel adds pairs of products in 16 bits, and others in another order.
        raise UnexpectedGraph("two products may overflow")
    wide = np.empty((2, *weights.shape[:3], WIDE), weights.dtype)
    wide[:] = stored[affine[1]].reshape(-1, 1, 1, 1) if len(affine) > 1 else 0
    wide[0, ..., :KERNEL] = wide[1, ..., STRIDE:] = weights
    made = {one: np.concatenate([stored[one], stored[one]]) for one in per_channel}
    return {**made, name: wide.reshape(-1, *wide.shape[2:])}


def _fields(
    graph: Message,
    nodes: list[Node],
    stem: Stem,
    attributes: dict[str, list[int]],
    tensors: Mapping[str, Array],
) -> Iterator[Field]:
    following = iter(nodes)
    [output] = stem.quantise.outputs
    for field in graph:
        node = next(following) if field.number == NODE else None
        if node is stem.convolution:
            kept = (one for one in node.fields if one.number != ATTRIBUTE)
            changed = Message([*kept, *attribute_fields(attributes)])
            yield field._replace(value=changed.serialized())
        elif node is stem.quantise:
            renamed = node.fields.replaced({NODE_OUTPUT: f"{output}.pairs".encode()})
            yield field._replace(value=renamed.serialized())
            yield from _neighbours(output)
        elif field.number == INITIALIZER and (name := _name(field.content)) in tensors:
            yield field._replace(value=tensor_fields(name, tensors[name]).serialized())
        else:
            yield field
    channels = len(tensors[stem.weight.inputs[0]]) // 2
    shape = tensor_fields(f"{output}.shape", np.array([0, 0, -1, channels], "<i8"))
    yield Field(INITIALIZER, LENGTH, shape.serialized())


def _name(tensor: bytes) -> str:
    [name] = Message.parse(tensor).texts(TENSOR_NAME)
    return name


def _neighbours(output: str) -> Iterator[Field]:
    """The nodes that make one channel of two, beside each other in a row."""
    pairs, last, rows = f"{output}.pairs", f"{output}.last", f"{output}.rows"
    for op, inputs, made, attributes in (
        ("Transpose", [pairs], last, {"perm": [0, 2, 3, 1]}),
        ("Reshape", [last, f"{output}.shape"], rows, {}),
        ("Transpose", [rows], output, {"perm": [0, 3, 1, 2]}),
    ):
        named = [(NODE_INPUT, name) for name in inputs]
        texts = message([*named, (NODE_OUTPUT, made), (OP_TYPE, op)])
        fields = [*Message.parse(texts), *attribute_fields(attributes)]
        yield Field(NODE, LENGTH, Message(fields).serialized())
