"""`make plot`: accuracy against inference time of every variant on this machine, as an SVG."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.auto.chooser import loaded_variants
from app.auto.pareto import Standing, frontier
from app.inference.measurer import Measurer
from app.inference.timings import Timings
from app.model.model import load_model
from app.model.store import Store
from app.model.store_folder import Selection
from app.settings import Settings
from loadtest.host.machine import this_machine
from loadtest.host.model_store import ROOT, STORE

PLOT = ROOT / "docs" / "choosing.svg"
MAX_TIMING_S = 120.0
MIN_LABEL_DISTANCE = 1.8  # percent points between two labels of the line
COLOURS = {
    ("mobilenet_v1", "fp32"): "#4c78a8",
    ("mobilenet_v1", "int8"): "#9ecae9",
    ("mobilenet_v2", "fp32"): "#e45756",
    ("mobilenet_v2", "int8"): "#ff9d98",
}
OTHER_COLOUR = "#888888"
Point = tuple[float, float]  # milliseconds, percent


def measure(folder: Path) -> list[Standing]:
    """Time every variant of a store whose accuracy is known."""
    resolutions = Settings.model_fields["auto_resolutions"].default
    store = Store(Selection(folder), load_model)
    timings = Timings()
    measurer = Measurer(store, timings, resolutions, busy=lambda: False, store_results=False)
    measurer.measure(MAX_TIMING_S)
    variants = [each for each in loaded_variants(store, resolutions) if each.top1]
    times = {key: found.p50_ms for key, found in timings.measured.items()}
    return frontier(variants, times)


def pareto_front(points: list[Point]) -> list[Point]:
    """Return the points that no faster one equals in accuracy, fastest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best


def draw(standings: list[Standing], title: str, file: Path) -> None:
    """Draw the variants and their Pareto front, and write the file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "frontier", "font.size": 9}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    by_kind: dict[tuple[str, str], list[Point]] = {}
    names: dict[Point, str] = {}
    for each in standings:
        variant = each.variant
        if each.inference_ms is None or variant.top1 is None:
            continue
        kind = variant.family, variant.precision
        point = each.inference_ms, variant.top1.percent
        by_kind.setdefault(kind, []).append(point)
        names[point] = variant.name.removeprefix("mobilenet_")
    for (family, precision), points in sorted(by_kind.items()):
        label = f"{family.replace('mobilenet_v', 'MobileNetV')} {precision}"
        times_ms, percents = zip(*points, strict=True)
        colour = COLOURS.get((family, precision), OTHER_COLOUR)
        axes.scatter(times_ms, percents, s=22, color=colour, label=label, zorder=3)
    front = pareto_front(list(names))
    axes.plot(*zip(*front, strict=True), color="#555", linewidth=1, zorder=2)
    _label_points(axes, front, names)
    axes.set(
        xscale="log", xlabel="milliseconds of inference, one thread", ylabel="top-1, %", title=title
    )
    left, right = front[0][0] / 2.2, max(point[0] for point in names)
    axes.set_xlim(left, right * 1.3)
    ticks = [each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if left < each < right]
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _label_points(axes: Any, front: list[Point], names: dict[Point, str]) -> None:
    """Name the points of the line, most accurate first, without overlapping labels."""
    style = {"textcoords": "offset points", "ha": "right", "fontsize": 7}
    labelled_percent: float | None = None
    for point in reversed(front):
        if labelled_percent is None or labelled_percent - point[1] > MIN_LABEL_DISTANCE:
            labelled_percent = point[1]
            axes.annotate(names[point], point, xytext=(-5, 4), **style)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    file: Annotated[Path, typer.Option("--picture", help="The SVG file to write.")] = PLOT,
) -> None:
    """Time every variant of a store and draw them."""
    machine = this_machine()
    draw(measure(store), f"Variants on a core of {machine.cpu}", file)


if __name__ == "__main__":
    typer.run(main)
