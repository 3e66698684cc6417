"""The cost of a graph as its family counts it, and of a file that nobody adopted yet."""

from pathlib import Path

import onnx

from app.card.card import Cost, Precision
from models.importing.dialogue.options import Choices
from models.importing.files.teachable import unpacked
from models.importing.recognize import Recognized, recognise
from models.importing.source import read_source
from models.importing.weights.identify import identify, kind_of
from models.network.cost import network_cost
from models.network.design import define
from models.onnx_cost.graph_cost import graph_cost

QUANTIZED = {"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "QGemm"}
INTEGERS = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
USUAL_SIDE = 224


def file_cost(path: Path, resolution: int | None) -> tuple[str, Cost]:
    """Title and cost of a file of any format that the import takes.

    Raises:
        Refused: it is no such file.
        GraphCostError: its cost cannot be determined.
    """
    with unpacked(path) as export:
        model = export.model if export is not None else path
        kind = kind_of(model)
        # as_stored: what a quantised input stands for changes no cost
        source = read_source(model, kind, Choices(resolution=resolution, as_stored=True))
        if source is None:
            assert kind is not None  # noqa: S101  ONNX is a graph
            found = identify(model, kind)
            side = resolution or USUAL_SIDE
            classes = len(found.checkpoint.layers["classifier"].bias)
            network = define(found.family, found.alpha, side, classes, design=found.design)
            return f"{path.name} at {side}", network_cost(network)
        side = resolution or source.resolution or USUAL_SIDE
        cost, _ = cost_of(source.model, side, precision_of(source.model.graph), source.folded)
    return f"{path.name} at {side}", cost


def cost_of(
    model: onnx.ModelProto, resolution: int, precision: Precision, folded: bool
) -> tuple[Cost, Recognized | None]:
    """The cost of a graph, and the network that it is recognised as.

    `folded` tells that batch norm is part of the kernels: then the family's own definition counts
    it, if all else agrees.

    Raises:
        GraphCostError: it cannot be determined.
    """
    cost = graph_cost(model, resolution)
    known = recognise(cost.layers)
    if known is not None and folded:
        family_cost = known.cost(resolution, precision)
        if family_cost is not None and family_cost.madds == cost.madds:  # the padding agrees, too
            cost = family_cost
    return cost, known


def precision_of(graph: onnx.GraphProto) -> Precision:
    """int8 if layers multiply 8-bit weights."""
    integers = {tensor.name for tensor in graph.initializer if tensor.data_type in INTEGERS}
    large = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    for node in graph.node:
        if node.op_type in QUANTIZED:
            return "int8"
        if node.op_type == "DequantizeLinear" and node.input[0] in integers & large:
            return "int8"
    return "fp32"
