"""Plot of measured accuracy over cost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.evaluate import EvaluationRow, varying_fields

Cost = Callable[[EvaluationRow], float]
AXES: tuple[tuple[Cost, str], ...] = (
    (lambda row: row.madds / 1e6, "multiply-adds per image (millions)"),
    (lambda row: row.inference_ms, "inference time per image on this machine (ms)"),
)
MAX_LEGEND_ENTRIES = 20


def plot_accuracy(rows: Sequence[EvaluationRow], path: Path) -> None:
    """Draw top-1 with its confidence interval over multiply-adds and over milliseconds.

    A line joins the resolutions of one model.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    varying = ["model", *varying_fields(rows, ("decode", "preprocessing"))]
    lines: dict[str, list[EvaluationRow]] = {}
    for one in rows:
        lines.setdefault(", ".join(getattr(one, name) for name in varying), []).append(one)
    for panel, (cost, label) in zip(panels, AXES, strict=True):
        for index, (title, points) in enumerate(lines.items()):
            _draw(panel, title, sorted(points, key=cost), cost, index)
        panel.set_xscale("log")
        panel.set_xlabel(label)
        panel.grid(visible=True, which="both", alpha=0.25)
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter("")
    panels[0].set_ylabel("top-1 accuracy (%), 95 % confidence interval")
    figure.suptitle(f"{max(one.images for one in rows)} labelled photos")
    if len(lines) <= MAX_LEGEND_ENTRIES:
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8
        )
    figure.savefig(path, dpi=120)


def _draw(panel: Any, title: str, points: Sequence[EvaluationRow], cost: Cost, index: int) -> None:
    below = [one.top1 - one.top1_low for one in points]
    above = [one.top1_high - one.top1 for one in points]
    int8 = points[0].precision == "int8"
    panel.errorbar(
        [cost(one) for one in points],
        [one.top1 for one in points],
        yerr=[below, above],
        label=title,
        color=f"C{index % 10}",
        marker="s" if int8 else "o",
        linestyle="--" if int8 else "-",
        capsize=3,
        elinewidth=0.8,
        alpha=0.85,
    )
    for one in points:
        panel.annotate(
            str(one.resolution), (cost(one), one.top1),
            textcoords="offset points", xytext=(5, 4), fontsize=7, color=f"C{index % 10}",
        )  # fmt: skip
