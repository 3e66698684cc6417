"""Recognising the family in a graph: the channels, windows and strides of its layers in a row."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from app.card.card import Cost, Family, LayerRow, Precision
from models.network.cost import network_cost
from models.network.design import PAPER_DESIGN, Design, define, stem_channels
from models.network.layers import Conv
from models.network.resolution import RESOLUTIONS

# Widths that were published come first: several narrow ones round to the same channels.
PUBLISHED = (1.0, 0.75, 0.5, 0.25, 0.35, 1.4, 1.3)
TWENTIETHS = [step / 20 for step in range(1, 41)]
HUNDREDTHS = [step / 100 for step in range(1, 201)]
WIDTHS = tuple(dict.fromkeys((*PUBLISHED, *TWENTIETHS, *HUNDREDTHS)))
ANY_SIZE = 96
DESIGNS: tuple[tuple[Family, Design], ...] = (
    ("mobilenet_v1", PAPER_DESIGN),
    ("mobilenet_v2", PAPER_DESIGN),
    ("mobilenet_v1", Design(head=True)),
    ("mobilenet_v2", Design(depth=1.2, fixed_ends=True)),
    ("mobilenet_v2", Design(depth=1.4, fixed_ends=True)),
)

Signature = list[tuple[tuple[int, int], int, int, int, int]]


class Recognized(NamedTuple):
    """The network of the family that a graph's first layers are, and what follows them."""

    family: Family
    alpha: float
    design: Design
    heads: tuple[LayerRow, ...]

    def cost(self, resolution: int, precision: Precision) -> Cost | None:
        """The cost of the network with a plain classifier, its batch norm counted.

        In a graph batch norm may be folded away. None where the head is another one.
        """
        if len(self.heads) != 1 or not self.heads[0].biases or resolution not in RESOLUTIONS:
            return None
        classes = self.heads[0].output_shape[0]
        network = define(self.family, self.alpha, resolution, classes, design=self.design)
        return network_cost(network, precision)


def recognise(layers: Iterable[LayerRow]) -> Recognized | None:
    """The family and width whose layers these are, whatever layers of a head follow."""
    found = [row for row in layers if row.weights]
    wanted = _signature(found)
    if not wanted:
        return None
    designs = [one for one in DESIGNS if len(_trunk(*one, 1.0)) < len(found)]
    for alpha in WIDTHS:
        for family, design in designs:
            if stem_channels(family, alpha, design) != wanted[0][-1]:
                continue  # before the other layers are defined: there are a thousand candidates
            trunk = _trunk(family, design, alpha)
            heads = found[len(trunk) :]
            if wanted[: len(trunk)] == trunk and all(map(_is_head, heads)):
                return Recognized(family, alpha, design, tuple(heads))
    return None


@cache
def _trunk(family: Family, design: Design, alpha: float) -> Signature:
    """The convolutions of a network of the family; every width has as many."""
    network = define(family, alpha, ANY_SIZE, design=design)
    return [
        (layer.kernel, layer.stride, layer.groups, step.input_shapes[0][0], step.output_shape[0])
        for step in network.steps()
        if isinstance(layer := step.node.layer, Conv)
    ]


def _signature(layers: Iterable[LayerRow]) -> Signature:
    """Window, stride, groups, channels in and out of every layer."""
    return [
        (row.kernel, row.stride, row.groups, row.input_shape[0], row.output_shape[0])
        for row in layers
    ]


def _is_head(row: LayerRow) -> bool:
    """Whether a layer works on pooled features: a classifier, or one of several dense layers."""
    return row.kind == "linear" or row.output_shape[1:] == (1, 1)
