"""Recognising the family in a graph: the channels, windows and strides of its layers in a row."""

from collections.abc import Iterable

from app.card.card import Family, LayerRow
from models.network.cost import network_cost
from models.network.design import PAPER_DESIGN, Design, define

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


def recognise(layers: Iterable[LayerRow]) -> tuple[Family, float | None]:
    """The family and width whose layers these are, but for the number of classes."""
    found = _signature(layers)
    if not found:
        return "other", None
    _, _, _, _, stem = found[0]
    for alpha in WIDTHS:
        for family, design in DESIGNS:
            network = define(family, alpha, ANY_SIZE, design=design)
            if next(network.steps()).output_shape[0] != stem:
                continue
            if found == _signature(network_cost(network).layers):
                return family, alpha
    return "other", None


def _signature(layers: Iterable[LayerRow]) -> Signature:
    """Window, stride, groups, channels in and out of every layer with weights but the last.

    The last one is the classifier, whose channels are those of its task.
    """
    weighted = [row for row in layers if row.weights]
    return [
        (row.kernel, row.stride, row.groups, row.input_shape[0], row.output_shape[0])
        for row in weighted[:-1]
    ]
