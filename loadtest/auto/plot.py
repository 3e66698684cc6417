"""`make plot`: accuracy against milliseconds of every variant on this machine, as a picture."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.auto.pareto import Standing, frontier
from app.card.variant import loaded_variants
from app.inference.measurer import Measurer
from app.inference.timings import Timings
from app.model.model import load_model
from app.model.store import Selection, Store
from app.settings import Settings
from loadtest.host.machine import this_machine

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "choosing.svg"
ENOUGH_S = 120.0
COLOURS = {
    ("mobilenet_v1", "fp32"): "#4c78a8",
    ("mobilenet_v1", "int8"): "#9ecae9",
    ("mobilenet_v2", "fp32"): "#e45756",
    ("mobilenet_v2", "int8"): "#ff9d98",
}
Point = tuple[float, float]


def measured(folder: Path) -> list[Standing]:
    """Every variant of a store that has a known accuracy, timed here."""
    sides = Settings.model_fields["auto_resolutions"].default
    store = Store(Selection(folder), partial(load_model))
    timings = Timings()
    Measurer(store, timings, sides, busy=lambda: False, keep=False).measure(ENOUGH_S)
    variants = [each for each in loaded_variants(store, sides) if each.top1]
    times = {key: found.p50_ms for key, found in timings.measured.items()}
    return frontier(variants, times)


def outline(points: list[Point]) -> list[Point]:
    """Of (milliseconds, percent), those that no faster one equals, fastest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best


def draw(standings: list[Standing], title: str, picture: Path) -> None:
    """Write the picture."""
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
        kind = variant.model[: len("mobilenet_v1")], variant.precision
        point = each.inference_ms, variant.top1.percent
        by_kind.setdefault(kind, []).append(point)
        names[point] = variant.name.removeprefix("mobilenet_")
    for (family, precision), points in sorted(by_kind.items()):
        label = f"{family.replace('mobilenet_v', 'MobileNetV')} {precision}"
        milliseconds, percents = zip(*points, strict=True)
        colour = COLOURS[family, precision]
        axes.scatter(milliseconds, percents, s=22, color=colour, label=label, zorder=3)
    best = outline(list(names))
    axes.plot(*zip(*best, strict=True), color="#555", linewidth=1, zorder=2)
    shown: list[Point] = []
    for point in reversed(best):
        if not shown or abs(point[1] - shown[-1][1]) > 1.8:
            shown.append(point)
            axes.annotate(
                names[point],
                point,
                xytext=(-5, 4),
                textcoords="offset points",
                ha="right",
                fontsize=7,
            )
    axes.set(
        xscale="log", xlabel="milliseconds of inference, one thread", ylabel="top-1, %", title=title
    )
    fastest, slowest = best[0][0], max(point[0] for point in names)
    axes.set_xlim(fastest / 2.2, slowest * 1.3)
    ticks = [
        each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if fastest / 2.2 < each < slowest
    ]
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(picture, metadata={"Date": None})
    pyplot.close(figure)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = Path("models/store"),
    picture: Annotated[Path, typer.Option(help="Where to write it.")] = PICTURE,
) -> None:
    """Time every variant of a store and draw them."""
    machine = this_machine()
    draw(measured(store), f"Variants on a core of {machine.cpu}", picture)


if __name__ == "__main__":
    typer.run(main)
