"""The accuracy of a model at a resolution: measured, published, or interpolated from a table.

What its owner measured goes before what was published: it is of the photos that count.

`accuracy.csv` has what the authors published for each width and resolution: MobileNetV1 from
TensorFlow's list of hosted models (tensorflow/lite/g3doc/guide/hosted_models.md), MobileNetV2 from
slim's table (tensorflow/models, research/slim/nets/mobilenet/README.md). Each row is a checkpoint
trained at that resolution. A float one that is run below its own scores somewhat less than the
table has, so what is interpolated is a good order of variants and an upper bound, and is marked as
such. An int8 one can lose nearly all, so for it nothing is interpolated.
"""

import csv
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from typing import Literal, TypeVar

from app.card.card import Family, ModelCard, Precision

TABLE = Path(__file__).with_name("accuracy.csv")
Basis = Literal["measured", "published", "interpolated"]
Grid = dict[tuple[float, int], float]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Top1:
    """Percent of single crops that are right, and where the figure comes from.

    The crops are those of the ImageNet validation set; of a measurement, of its owner's photos.
    """

    percent: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known of a model at one resolution, in percent."""

    resolution: int
    top1: float
    top5: float | None
    basis: Basis
    source: str


def figures(card: ModelCard) -> tuple[Figure, ...]:
    """What was measured of a card's weights, or else what was published; none of random ones."""
    if not card.trained:
        return ()
    if card.measured:
        return tuple(
            Figure(
                one.resolution,
                one.top1,
                one.top5,
                "measured",
                f"measured on {one.images} photos of {one.photos}",
            )
            for one in card.measured
        )
    if card.accuracy is None:
        return ()
    own = card.accuracy
    return (Figure(card.resolution, own.top1, own.top5, "published", own.source),)


def figure_at(card: ModelCard, resolution: int) -> Figure | None:
    """What is known for just this resolution."""
    return next((one for one in figures(card) if one.resolution == resolution), None)


def top1(card: ModelCard, resolution: int) -> Top1 | None:
    """Top-1 accuracy of a card's weights at `resolution`; None if nothing is known of it.

    Where it was measured, or published for the trained resolution, it is that figure. Elsewhere
    the figure of the nearest resolution moves by what the family's table loses between the two.
    Above the trained resolution it stays: no table says what weights gain from more pixels than
    they were trained on. Of an imported model nothing is known that nobody measured: its classes
    are its own. Of an int8 one neither: its ranges of activations are those of one resolution.
    """
    if figure := figure_at(card, resolution):
        return Top1(figure.top1, figure.basis, figure.source)
    if card.precision == "int8":
        # No table tells what such ranges cost elsewhere: its int8 rows were quantised at each size.
        return None
    known = figures(card)
    if card.alpha is None or not card.trained or (card.origin.kind == "imported" and not known):
        return None
    near = min(known, key=lambda one: abs(log2(one.resolution / resolution)), default=None)
    precision = _trained_precision(card)
    here, there = (
        table_top1(card.family, precision, card.alpha, min(side, card.resolution))
        for side in (resolution, near.resolution if near else card.resolution)
    )
    if here is None or there is None:
        return None
    percent = here.percent if near is None else near.top1 + here.percent - there.percent
    return Top1(round(min(max(percent, 0.0), 100.0), 2), "interpolated", here.source)


def table_top1(family: Family, precision: Precision, alpha: float, resolution: int) -> Top1 | None:
    """What the family's table says, bilinear in the logarithms of width and resolution.

    None outside the table. Where it has no int8 rows, the fp32 ones stand for how accuracy falls
    with resolution.
    """
    tables, sources = _tables()
    grid = tables.get((family, precision)) or tables.get((family, "fp32"))
    if grid is None:
        return None
    alphas = sorted({width for width, _ in grid})
    if not alphas[0] <= alpha <= alphas[-1]:
        return None
    low, high = _neighbours(alphas, alpha)
    share = _share(low, high, alpha)
    lower, upper = (_at_width(grid, width, resolution) for width in (low, high))
    if lower is None or upper is None:
        return None
    return Top1((1 - share) * lower + share * upper, "interpolated", sources[family])


def _at_width(grid: Grid, alpha: float, resolution: int) -> float | None:
    """Along the resolutions that the table has for this width."""
    sides = sorted(side for width, side in grid if width == alpha)
    if not sides[0] <= resolution <= sides[-1]:
        return None
    low, high = _neighbours(sides, resolution)
    share = _share(low, high, resolution)
    return (1 - share) * grid[alpha, low] + share * grid[alpha, high]


def _neighbours(values: list[Number], value: Number) -> tuple[Number, Number]:
    """The nearest values at or around one that lies within them."""
    at = bisect_left(values, value)
    return (values[at], values[at]) if values[at] == value else (values[at - 1], values[at])


def _share(low: float, high: float, value: float) -> float:
    return 0.0 if low == high else log2(value / low) / log2(high / low)


def _trained_precision(card: ModelCard) -> Precision:
    """What the weights were trained for: the float form of a quantised checkpoint is still it."""
    return "int8" if "qat" in card.name.split("_") else card.precision


@cache
def _tables() -> tuple[dict[tuple[str, str], Grid], dict[str, str]]:
    """The table by family and precision, and the source of each family."""
    tables: dict[tuple[str, str], Grid] = {}
    sources: dict[str, str] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            grid = tables.setdefault((row["family"], row["precision"]), {})
            grid[float(row["alpha"]), int(row["resolution"])] = float(row["top1"])
            sources[row["family"]] = row["source"]
    return tables, sources
