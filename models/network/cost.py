"""Cost of a network for one image: parameters, multiply-adds, memory, file size.

`app.card.card.Cost` defines what each figure counts. This module walks the network's definition;
`models.onnx_cost.graph_cost` walks a finished ONNX graph independently, and both agree on the
exports of this project.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from app.card.card import Cost, LayerRow, ModelCard, Precision
from app.card.cost_at import scaled_cost, scaled_layers
from models.network.layers import Conv
from models.network.network import INPUT, Network, Node, Step

ELEMENT_BYTES: dict[Precision, int] = {"fp32": 4, "int8": 1}  # of activations and weights
IN_PLACE = {"add", "activation"}
HEAD = {"global_pool", "linear"}


@dataclass(frozen=True, slots=True)
class BufferUse:
    """The buffers that one step of a run reads, and the one that it writes."""

    reads: tuple[str, ...]
    writes: str
    size_bytes: int


def network_cost(
    network: Network, precision: Precision = "fp32", *, float_head: bool = False
) -> Cost:
    """Cost of every layer and of the whole, for one image of the network's input shape.

    `float_head` tells that pooled features and logits stay in float, whatever the precision.
    """

    def element_bytes(step: Step) -> int:
        in_float = float_head and step.node.layer.kind in HEAD
        return ELEMENT_BYTES["fp32" if in_float else precision]

    steps = list(network.steps())
    rows = tuple(_row(step, element_bytes(step)) for step in steps)
    standard = [_row(step, element_bytes(step)) for step in standard_network(network).steps()]
    return Cost(
        params=sum(map(params, rows)),
        stored_params=sum(map(stored_params, rows)),
        madds=sum(row.madds for row in rows),
        classifier_madds=sum(row.madds for row in rows if row.kind == "linear"),
        peak_activation_bytes=peak_bytes(
            _uses(steps, rows), {INPUT: prod(network.input_shape) * ELEMENT_BYTES[precision]}
        ),
        standard_params=sum(map(params, standard)),
        standard_madds=sum(row.madds for row in standard),
        layers=rows,
    )


def cost_at(card: ModelCard, resolution: int) -> Cost:
    """Cost of a card's network at another resolution, from the layers in the card.

    Raises:
        BadQuery: the graph does not support the resolution, or its feature maps do not scale
            evenly from those in the card.
    """
    trained, scaled = card.cost, scaled_cost(card, resolution)
    convolutions = trained.standard_madds - trained.classifier_madds  # they grow with the area
    return trained.model_copy(
        update={
            "madds": scaled.madds,
            "peak_activation_bytes": scaled.peak_activation_bytes,
            "standard_madds": trained.classifier_madds
            + convolutions * resolution**2 // card.resolution**2,
            "layers": tuple(scaled_layers(card, resolution)),
        }
    )


def weight_file_bytes(network: Network, precision: Precision = "fp32") -> int:
    """Bytes of the weights in an exported file, batch norm folded, without graph and card.

    fp32 keeps 4 bytes a stored parameter; int8 keeps 1 byte a weight and 4 a bias.
    """
    weight_bytes = ELEMENT_BYTES[precision]
    rows = network_cost(network, precision).layers
    return sum(row.weights * weight_bytes + 4 * (stored_params(row) - row.weights) for row in rows)


def params(row: LayerRow) -> int:
    """Trainable values of a layer."""
    return row.weights + row.biases + row.batch_norm_params


def stored_params(row: LayerRow) -> int:
    """Weights and biases of a layer after its batch norm is folded into one bias."""
    return row.weights + row.biases + row.batch_norm_params // 2


def peak_bytes(uses: Sequence[BufferUse], inputs: dict[str, int]) -> int:
    """Maximum number of bytes alive at once while the steps run in order.

    A buffer lives from the first step that writes it to the last one that reads it; `inputs` holds
    the sizes of the buffers filled before the first step. A step that writes a buffer it reads
    works in place.
    """
    last_read = {name: at for at, use in enumerate(uses) for name in use.reads}
    alive = dict(inputs)
    peak = sum(alive.values())
    for at, use in enumerate(uses):
        alive[use.writes] = max(use.size_bytes, alive.get(use.writes, 0))
        peak = max(peak, sum(alive.values()))
        for name in use.reads:
            if last_read[name] == at and name != use.writes:
                alive.pop(name, None)
    return peak


def _uses(steps: Iterable[Step], rows: Iterable[LayerRow]) -> list[BufferUse]:
    """The buffers of each step; element-wise layers overwrite their first input."""
    buffers = {INPUT: INPUT}
    uses = []
    for step, row in zip(steps, rows, strict=True):
        node = step.node
        name = buffers[node.inputs[0]] if node.layer.kind in IN_PLACE else node.name
        buffers[node.name] = name
        reads = tuple(buffers[source] for source in node.inputs)
        uses.append(BufferUse(reads, name, row.activation_bytes))
    return uses


def _row(step: Step, element_bytes: int) -> LayerRow:
    layer, inputs = step.node.layer, step.input_shapes
    parameters = layer.parameters(*inputs)
    return LayerRow(
        name=step.node.name,
        kind=layer.kind,
        input_shape=inputs[0],
        output_shape=step.output_shape,
        kernel=layer.kernel,
        stride=layer.stride,
        groups=layer.groups,
        weights=parameters.weights,
        biases=parameters.biases,
        batch_norm_params=parameters.batch_norm,
        madds=layer.madds(*inputs),
        activation_bytes=prod(step.output_shape) * element_bytes,
    )


def standard_network(network: Network) -> Network:
    """The same network with standard convolutions (V1 paper, Table 4, "Conv MobileNet").

    A depthwise convolution and the pointwise one that it feeds become one convolution with the
    kernel size, stride and padding of the first and the channels of the second.
    """
    nodes = {node.name: node for node in network.nodes}
    for first, second in pairwise(network.nodes):
        match first.layer, second.layer:
            case Conv(kind="depthwise") as depthwise, Conv(kind="pointwise") as pointwise if (
                second.inputs == (first.name,)
            ):
                layer = replace(
                    pointwise,
                    kernel=depthwise.kernel,
                    stride=depthwise.stride,
                    padding=depthwise.padding,
                )
                del nodes[first.name]
                nodes[second.name] = Node(second.name, layer, first.inputs)
    standard = Network(network.family, network.alpha, network.input_shape)
    for node in nodes.values():
        standard.add(node.name, node.layer, *node.inputs)
    return standard
