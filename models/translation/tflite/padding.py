"""PAD in front of a VALID convolution, as a padding of the convolution itself.

TensorFlow's converter writes it for Keras' ZeroPadding2D. The zeros of a convolution are the same
zeros, and a convolution in integers stays one.
"""

from dataclasses import replace

import numpy as np

from models.checkpoints.tflite.graph import Graph, Operator

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D"}


def folded(graph: Graph) -> Graph:
    """The graph without such PADs; its convolutions have `pads`."""
    readers: dict[int, list[Operator]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(index, []).append(operator)
    moved: dict[int, tuple[int, tuple[int, ...]]] = {}
    for operator in graph.operators:
        pads = _pads(graph, operator)
        result = operator.outputs[0]
        if pads is None or result == graph.output:
            continue
        if all(_takes(reader, result) for reader in readers.get(result, [])):
            moved[result] = operator.inputs[0], pads
    operators = [
        _with(operator, *moved[operator.inputs[0]]) if operator.inputs[0] in moved else operator
        for operator in graph.operators
        if operator.outputs[0] not in moved
    ]
    return replace(graph, operators=tuple(operators))


def _pads(graph: Graph, operator: Operator) -> tuple[int, ...] | None:
    """Zeros at top, left, bottom and right, if that is all that an operator adds."""
    if operator.kind != "PAD" or len(operator.inputs) != 2:
        return None
    before, after = (graph.tensors[at] for at in (operator.inputs[0], operator.outputs[0]))
    amounts = graph.tensors[operator.inputs[1]].values
    if amounts is None or amounts.shape != (4, 2) or amounts[[0, 3]].any() or (amounts < 0).any():
        return None
    if (before.scales, before.zero_points) != (after.scales, after.zero_points):
        return None
    return tuple(np.concatenate([amounts[1:3, 0], amounts[1:3, 1]]).tolist())


def _takes(reader: Operator, index: int) -> bool:
    plain = reader.kind in CONVOLUTIONS and reader.padding == "VALID" and reader.pads is None
    return plain and reader.inputs[0] == index and index not in reader.inputs[1:]


def _with(operator: Operator, source: int, pads: tuple[int, ...]) -> Operator:
    return replace(operator, inputs=(source, *operator.inputs[1:]), pads=pads)
