"""Plot of accuracy over multiply-adds, as in the papers (V1 Figure 4, V2 Figure 5)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from app.system.atomic_file import os_errors_with_path
from models.files.plot_file import check_plot
from models.papers.comparison import comparisons
from models.zoo.zoo import zoo

HASH_PREFIX = "data "  # starts the description of an SVG, before the hash of its points
STYLES = {
    "MobileNetV1": ("#1f77b4", "o"),
    "MobileNetV2": ("#d62728", "s"),
    "others": ("#555555", "^"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A network with its published top-1 in percent and its cost in millions."""

    series: str
    name: str
    madds_M: float  # noqa: N815  M for millions
    params_M: float  # noqa: N815  as above
    top1: float


def points() -> tuple[Point, ...]:
    """Float models of the zoo with a published accuracy, and the other networks of the papers."""
    found = {}
    for name, entry in zoo().items():
        card = entry.recipe.card(entry.precision)
        if entry.precision == "fp32" and card.accuracy:
            series = {"mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2"}[card.family]
            cost = card.cost
            found[name] = Point(
                series, name, cost.madds / 1e6, cost.params / 1e6, card.accuracy.top1
            )
    for row in comparisons():
        if row.top1 is not None and row.classes == 1000:
            family = row.network in STYLES
            series = row.network if family else "others"
            label = f"{row.name} (paper)" if family else row.name
            found[label] = Point(series, label, row.madds_M, row.params_M, row.top1)
    return tuple(found.values())


def points_hash(plotted: Sequence[Point]) -> str:
    rows = [
        [point.series, point.name, *(f"{x:.3f}" for x in astuple(point)[2:])] for point in plotted
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def draw(path: Path) -> None:
    """Draw the plot into a file, in the format of its suffix.

    Raises:
        ValueError: the format is not supported, or matplotlib is not installed.
    """
    check_plot(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    plotted = points()
    with mpl.rc_context(
        {"svg.hashsalt": "mobilenet-gateway", "svg.fonttype": "none", "font.size": 9}
    ):
        figure = Figure(figsize=(8, 5), layout="constrained")
        _draw_points(figure.subplots(), plotted)
        svg_metadata = {"Description": HASH_PREFIX + points_hash(plotted), "Date": None}
        metadata = svg_metadata if path.suffix == ".svg" else None
        path.parent.mkdir(parents=True, exist_ok=True)
        with os_errors_with_path(path):
            figure.savefig(path, dpi=150, metadata=metadata)


def is_current(path: Path) -> bool:
    """Whether an SVG shows the current points."""
    return path.is_file() and HASH_PREFIX + points_hash(points()) in path.read_text("utf-8")


def _draw_points(axes: Any, plotted: Sequence[Point]) -> None:
    for series, (colour, marker) in STYLES.items():
        selected = [point for point in plotted if point.series == series]
        axes.scatter(
            [point.madds_M for point in selected],
            [point.top1 for point in selected],
            s=[_marker_area(point) for point in selected],
            c=colour, marker=marker, alpha=0.55, linewidths=0.5, edgecolors="white", label=series,
        )  # fmt: skip
    for point in plotted:
        if point.series == "others":
            _label(axes, point)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("million multiply-adds per image (log scale); area: parameters")
    axes.set_ylabel("ImageNet top-1, percent, as published")
    axes.grid(alpha=0.3, which="both", linewidth=0.4)
    legend = axes.legend(loc="lower right", frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([40])


def _marker_area(point: Point) -> float:
    """Area of a marker in square points, linear in the parameters."""
    return 8 + 7 * point.params_M


def _label(axes: Any, point: Point) -> None:
    """Label a marker below, or beside it where another marker is below."""
    distance = _marker_area(point) ** 0.5 / 2 + 3
    beside = point.name == "SqueezeNet 1.0"
    axes.annotate(
        f"{point.name}\n{point.params_M:.1f} M",
        (point.madds_M, point.top1),
        xytext=(distance, 0) if beside else (0, -distance),
        textcoords="offset points",
        ha="left" if beside else "center",
        va="center" if beside else "top",
        fontsize=7,
    )
