"""Whether a runtime computes a model's layers in the precision that its card states.

A quantised file is a float graph with rounding between its layers; what is computed in integers is
decided when onnxruntime optimises it, and differs between CPUs.
"""

from collections import Counter

import onnx

from app.card.card import ModelCard

CONVOLUTIONS = {"conv", "depthwise", "pointwise"}  # kinds of layers in a card
LINEAR = {"linear"}
INTEGER_CONVOLUTIONS = {"QLinearConv"}
INTEGER_LINEAR = {"QGemm", "QLinearMatMul"}
FLOAT_CONVOLUTIONS = {"Conv", "FusedConv"}
FLOAT_LINEAR = {"Gemm", "FusedGemm", "MatMul"}
ROUNDING = {"QuantizeLinear", "DequantizeLinear", "QLinearAdd", "DynamicQuantizeLinear"}
INTEGER = INTEGER_CONVOLUTIONS | INTEGER_LINEAR | ROUNDING
FLOAT = FLOAT_CONVOLUTIONS | FLOAT_LINEAR


def contradictions(card: ModelCard, optimised: onnx.ModelProto) -> list[str]:
    """What the optimised graph computes otherwise than its card says; nothing if all is true."""
    computed = Counter(node.op_type for node in optimised.graph.node)
    layers = Counter(row.kind for row in card.cost.layers)
    integers = card.precision == "int8"
    wanted = (
        (INTEGER_CONVOLUTIONS if integers else FLOAT_CONVOLUTIONS, CONVOLUTIONS),
        (INTEGER_LINEAR if integers else FLOAT_LINEAR, LINEAR),
    )
    found = []
    for operators, kinds in wanted:
        count, stated = (
            sum(counts[name] for name in names)
            for counts, names in ((computed, operators), (layers, kinds))
        )
        if count != stated:
            names = " and ".join(sorted(operators))
            found.append(f"{card.name}: {count} {names} for {stated} layers in {card.precision}")
    others = sorted((FLOAT if integers else INTEGER) & computed.keys())
    if others:
        found.append(f"{card.name}: {', '.join(others)} although its card says {card.precision}")
    return found
