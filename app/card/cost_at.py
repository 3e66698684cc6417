"""What a model costs at another resolution than the one it was trained at, from its card alone.

Resolution is a dial: one checkpoint takes any multiple of 32, parameters stay, multiply-adds and
activations follow the area of the feature maps (V1 paper, section 3.4). A card has the shapes of
one resolution; those of another follow exactly where every halving comes out even at both, as it
does in the whole family. `models.network.cost` counts the same from the definition.
"""

from dataclasses import dataclass
from math import ceil

from app.card.card import LayerRow, ModelCard
from app.errors import BadQuery

ONE_POSITION = (1, 1)


@dataclass(frozen=True, slots=True)
class DialledCost:
    """Cost for one image of `resolution` squared; each figure counts as in `app.card.card.Cost`."""

    resolution: int
    madds: int
    peak_activation_bytes: int
    activation_bytes: int  # of all layers together, which is what a run writes


def dial(card: ModelCard, resolution: int) -> DialledCost:
    """The exact cost of a card's network at `resolution`.

    Raises:
        BadQuery: the graph does not take it, or its maps do not scale evenly from the card's.
    """
    if resolution not in card.resolutions:
        raise BadQuery(f"resolution: {card.name} takes {card.resolutions}, not {resolution}")
    old, rows = card.resolution, card.cost.layers
    return DialledCost(
        resolution=resolution,
        madds=sum(_scaled(card, row, row.madds, resolution) for row in rows),
        # The peak lies among the feature maps, and they all grow alike.
        peak_activation_bytes=_exact(
            card, card.cost.peak_activation_bytes * resolution**2, old**2, resolution
        ),
        activation_bytes=sum(_scaled(card, row, row.activation_bytes, resolution) for row in rows),
    )


def dial_layers(card: ModelCard, resolution: int) -> list[LayerRow]:
    """The rows of a card's layers at `resolution`.

    Raises:
        BadQuery: as `dial` does.
    """
    dial(card, resolution)
    return [
        row.model_copy(
            update={
                "input_shape": _shape(card, row.input_shape, resolution),
                "output_shape": _shape(card, row.output_shape, resolution),
                "madds": _scaled(card, row, row.madds, resolution),
                "activation_bytes": _scaled(card, row, row.activation_bytes, resolution),
            }
        )
        for row in card.cost.layers
    ]


def _shape(card: ModelCard, shape: tuple[int, int, int], resolution: int) -> tuple[int, int, int]:
    channels, height, width = shape
    if (height, width) == ONE_POSITION:
        return shape
    return channels, height * resolution // card.resolution, width * resolution // card.resolution


def _scaled(card: ModelCard, row: LayerRow, amount: int, resolution: int) -> int:
    """An amount that grows with the positions of a layer's output."""
    _, height, width = row.output_shape
    if (height, width) == ONE_POSITION:
        return amount
    for side, entering in zip((height, width), row.input_shape[1:], strict=True):
        _exact(card, side * resolution, card.resolution, resolution)
        if side != ceil(entering / row.stride):
            raise _uneven(card, resolution)
    return _exact(card, amount * resolution**2, card.resolution**2, resolution)


def _exact(card: ModelCard, amount: int, parts: int, resolution: int) -> int:
    whole, rest = divmod(amount, parts)
    if rest:
        raise _uneven(card, resolution)
    return whole


def _uneven(card: ModelCard, resolution: int) -> BadQuery:
    return BadQuery(
        f"resolution: what {card.name} costs at {resolution} does not follow from its card, "
        f"which has the layers at {card.resolution}"
    )
