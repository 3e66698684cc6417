"""Generate the tables of the docs from the code.

A table is between `<!-- name -->` and `<!-- /name -->`. `python -m docs.fill` regenerates all
tables, `python -m docs.fill --check` fails if one is out of date.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from app.errors import RequestError
from app.problem import TYPE_PREFIX
from app.shown_settings import settings_table
from app.telemetry.metrics import Metrics
from loadtest.report import fill_block
from models.commands.comparison_tables import (
    MEMORY,
    NETWORKS,
    memory_row,
    network_row,
    notes,
    vgg16_memory,
)
from models.commands.tables import PRECISIONS, download_size, megabytes, millions
from models.papers.accuracy_plot import draw, is_current
from models.papers.comparison import comparisons, widest_tensors
from models.zoo.zoo import zoo

SUFFIX = {"counter": "_total"}  # added by the text format
ROOT = Path(__file__).resolve().parents[1]
PLOT = ROOT / "docs" / "accuracy.svg"
PAGES = ("docs/api.md", "docs/models.md", "docs/operations.md", "docs/settings.md")


def zoo_table() -> str:
    """Every model that can be pulled."""
    rows = []
    for name, entry in zoo().items():
        card = entry.recipe.card(entry.precision)
        top1 = f"{card.accuracy.top1:g} %" if card.accuracy else "-"
        cost = card.cost
        rows.append(
            (
                f"`{name}`",
                PRECISIONS[card.precision_origin],
                millions(cost.params),
                millions(cost.madds),
                megabytes(cost.peak_activation_bytes),
                top1,
                download_size(entry.download_bytes, pinned=entry.pinned),
            )
        )
    return table(("model", "precision", "parameters", "MAdds", "memory", "top-1", "download"), rows)


def recipe_table() -> str:
    """The INT8 models that recipes make, and how far they agree with their float models."""
    rows = []
    for entry in zoo().values():
        if (recipe := entry.int8_recipe) is None:
            continue
        report, photos = recipe.report, len(recipe.calibration_photos)
        agreement = [
            f"{one.top1_agreement:g} % of {one.images} ({one.photos})" for one in recipe.measured
        ]
        calibration = f"{photos} photos, {report.calibration_images} views"
        sha256 = f"`{recipe.file_sha256[:16]}…`"
        rows.append((f"`{entry.name}`", report.method, calibration, "; ".join(agreement), sha256))
    return table(
        ("model", "method", "calibrated on", "top-1 agreement with float", "SHA-256"), rows
    )


def comparison_table() -> str:
    """The papers' tables, printed and computed."""
    reasons = [f"{number}. {reason}" for number, reason in enumerate(notes(), start=1)]
    return "\n\n".join(
        [
            table(NETWORKS, [network_row(row) for row in comparisons()]),
            "The widest tensor at each size, 16-bit values (V2 paper, Table 3):",
            table(MEMORY, [memory_row(row) for row in widest_tensors()]),
            "\n".join(reasons),
            vgg16_memory(),
        ]
    )


def error_table() -> str:
    """Every problem type."""
    kinds = sorted(set(_kinds(RequestError)), key=lambda kind: (kind.status, kind.type))
    rows = [
        (str(kind.status), f"`{TYPE_PREFIX}{kind.type}`", (kind.__doc__ or "").split("\n")[0])
        for kind in kinds
    ]
    return table(("status", "type", "when"), rows)


def metric_table() -> str:
    """Every metric that the service defines."""
    rows = [
        (f"`{family.name}{SUFFIX.get(family.type, '')}`", family.type, family.documentation)
        for family in Metrics().families()
        if family.name.startswith("gateway_")
    ]
    return table(("metric", "kind", "description"), rows)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "zoo": zoo_table,
    "recipes": recipe_table,
    "comparison": comparison_table,
    "errors": error_table,
    "metrics": metric_table,
}


def fill(text: str) -> str:
    """A page with its tables regenerated."""
    for name, make in TABLES.items():
        if f"<!-- {name} -->" in text:
            text = fill_block(text, name, make())
    return text


def main(check: bool) -> int:
    """Regenerate the tables of every page, or report which pages are out of date."""
    stale = []
    for name in PAGES:
        path = ROOT / name
        before = path.read_text("utf-8")
        after = fill(before)
        if after != before:
            stale.append(name)
            if not check:
                path.write_text(after, "utf-8")
    if not is_current(PLOT):
        stale.append(str(PLOT.relative_to(ROOT)))
        if not check:
            try:
                draw(PLOT)
            except ValueError as error:
                print(f"{stale[-1]}: {error}", file=sys.stderr)
                return 1
    if stale and check:
        print(f"Out of date: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
        return 1
    return 0


def _kinds(kind: type[RequestError]) -> Iterable[type[RequestError]]:
    for below in kind.__subclasses__():
        if "type" in vars(below):
            yield below
        yield from _kinds(below)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
