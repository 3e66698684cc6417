"""The cost of a model at another resolution than the trained one, from its card alone.

One checkpoint supports any multiple of 32: parameters stay the same, multiply-adds and activations
follow the area of the feature maps (V1 paper, section 3.4). A card holds the shapes at the trained
resolution. The shapes at another one follow exactly if every halving is even at both, as in the
whole family. `models.network.cost` counts the same from the network's definition.
"""

from dataclasses import dataclass
from math import ceil

from app.card.card import LayerRow, ModelCard
from app.errors import BadQuery

ONE_POSITION = (1, 1)


@dataclass(frozen=True, slots=True)
class ScaledCost:
    """The cost of one image at a resolution, counted as in `Cost`."""

    madds: int
    peak_activation_bytes: int
    activation_bytes: int  # of all layers together: all that one run writes


def scaled_cost(card: ModelCard, resolution: int) -> ScaledCost:
    """The exact cost of a card's network at `resolution`.

    Raises:
        BadQuery: the graph does not support it, or the feature maps do not scale evenly.
    """
    rows = scaled_layers(card, resolution)
    # The peak is a sum of feature maps, which all grow by the same factor.
    peak_bytes = card.cost.peak_activation_bytes * resolution**2
    return ScaledCost(
        madds=sum(row.madds for row in rows),
        peak_activation_bytes=_exact(card, peak_bytes, card.resolution**2, resolution),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


def scaled_layers(card: ModelCard, resolution: int) -> list[LayerRow]:
    """The card's layer rows at `resolution`.

    Raises:
        BadQuery: see `scaled_cost`.
    """
    if resolution not in card.resolutions:
        raise BadQuery(f"resolution: {card.name} supports {card.resolutions}, not {resolution}")
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
    """An amount that is proportional to the number of positions in the layer's output."""
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
        f"resolution: the cost of {card.name} at {resolution} does not follow from its layers at "
        f"{card.resolution}"
    )
