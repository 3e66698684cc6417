"""The accuracy of a model at a resolution: measured, published, or interpolated from a table.

A measurement on the owner's photos takes precedence over the published figure, because the owner's
photos are the ones to be classified.

`accuracy.csv` holds the published accuracy by width and resolution: MobileNetV1 from TensorFlow's
list of hosted models (tensorflow/lite/g3doc/guide/hosted_models.md), MobileNetV2 from slim's table
(tensorflow/models, research/slim/nets/mobilenet/README.md). Each row is a checkpoint trained at
that resolution. A float checkpoint run below its trained resolution scores somewhat less than the
table, so interpolated figures rank variants well, are upper bounds, and are marked as interpolated.
An int8 checkpoint can lose almost all of its accuracy there, so it has no interpolated figures.
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
    """Percentage of single crops classified correctly, and where the figure comes from.

    The crops are those of the ImageNet validation set, or of the owner's photos if it was measured.
    """

    percent: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """The known accuracy of a model at one resolution, in percent."""

    resolution: int
    top1: float
    top5: float | None
    basis: Basis
    source: str


def figures(card: ModelCard) -> tuple[Figure, ...]:
    """The measured accuracy of a model, or else the published one; empty for random weights."""
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
    """The known accuracy at exactly this resolution."""
    return next((one for one in figures(card) if one.resolution == resolution), None)


def top1(card: ModelCard, resolution: int) -> Top1 | None:
    """Top-1 accuracy of a model at `resolution`; None if it is unknown.

    A measured or published figure for that resolution is returned unchanged. Elsewhere, the figure
    of the nearest known resolution changes by the difference of the family's table between the two.
    Above the trained resolution it stays the same: no table tells what weights gain from more
    pixels than they were trained on. The accuracy of an imported model is unknown until it is
    measured, because its classes are its own. That of an int8 model is unknown elsewhere, because
    the ranges of its activations hold for one resolution.
    """
    if figure := figure_at(card, resolution):
        return Top1(figure.top1, figure.basis, figure.source)
    if card.precision == "int8":
        # Each int8 row of the table was quantised at its own resolution.
        return None
    known = figures(card)
    if card.alpha is None or not card.trained or (card.origin.kind == "imported" and not known):
        return None
    near = min(known, key=lambda one: abs(log2(one.resolution / resolution)), default=None)
    # The float form of an integer checkpoint keeps the accuracy of the integers' training.
    precision: Precision = "fp32" if card.precision_origin == "float" else "int8"
    here, there = (
        table_top1(card.family, precision, card.alpha, min(side, card.resolution))
        for side in (resolution, near.resolution if near else card.resolution)
    )
    if here is None or there is None:
        return None
    percent = here.percent if near is None else near.top1 + here.percent - there.percent
    return Top1(round(min(max(percent, 0.0), 100.0), 2), "interpolated", here.source)


def table_top1(family: Family, precision: Precision, alpha: float, resolution: int) -> Top1 | None:
    """Top-1 accuracy from the family's table, bilinear in the logarithms of width and resolution.

    None outside the table. A family without int8 rows uses its fp32 rows, since accuracy falls with
    resolution in the same way.
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
    """Interpolate along the table's resolutions for one width."""
    sides = sorted(side for width, side in grid if width == alpha)
    if not sides[0] <= resolution <= sides[-1]:
        return None
    low, high = _neighbours(sides, resolution)
    share = _share(low, high, resolution)
    return (1 - share) * grid[alpha, low] + share * grid[alpha, high]


def _neighbours(values: list[Number], value: Number) -> tuple[Number, Number]:
    """The nearest of the sorted `values` at or around one within their range."""
    at = bisect_left(values, value)
    return (values[at], values[at]) if values[at] == value else (values[at - 1], values[at])


def _share(low: float, high: float, value: float) -> float:
    return 0.0 if low == high else log2(value / low) / log2(high / low)


@cache
def _tables() -> tuple[dict[tuple[str, str], Grid], dict[str, str]]:
    """The table by family and precision, and the source by family."""
    tables: dict[tuple[str, str], Grid] = {}
    sources: dict[str, str] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            grid = tables.setdefault((row["family"], row["precision"]), {})
            grid[float(row["alpha"]), int(row["resolution"])] = float(row["top1"])
            sources[row["family"]] = row["source"]
    return tables, sources
