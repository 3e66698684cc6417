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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from typing import Literal

from app.card.card import Family, ModelCard, Precision

TABLE = Path(__file__).with_name("accuracy.csv")
Basis = Literal["measured", "published", "interpolated"]
Grid = dict[tuple[float, float], float]  # percent by width and resolution


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
    if own := card.accuracy:
        return (Figure(card.resolution, own.top1, own.top5, "published", own.source),)
    return ()


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
    by_width: dict[float, float] = {}
    for width in {width for width, _ in grid}:
        by_side = {side: percent for (other, side), percent in grid.items() if other == width}
        if (percent := _interpolate(by_side, resolution)) is not None:
            by_width[width] = percent
    percent = _interpolate(by_width, alpha)
    return None if percent is None else Top1(percent, "interpolated", sources[family])


def _interpolate(points: Mapping[float, float], at: float) -> float | None:
    """Interpolate linearly in the logarithm of `at`; None outside the points."""
    if at in points:
        return points[at]
    known = sorted(points)
    index = bisect_left(known, at)
    if not 0 < index < len(known):
        return None
    low, high = known[index - 1 : index + 1]
    share = log2(at / low) / log2(high / low)
    return (1 - share) * points[low] + share * points[high]


@cache
def _tables() -> tuple[dict[tuple[str, str], Grid], dict[str, str]]:
    """The table by family and precision, and the source by family."""
    tables: dict[tuple[str, str], Grid] = {}
    sources: dict[str, str] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            grid = tables.setdefault((row["family"], row["precision"]), {})
            grid[float(row["alpha"]), float(row["resolution"])] = float(row["top1"])
            sources[row["family"]] = row["source"]
    return tables, sources
