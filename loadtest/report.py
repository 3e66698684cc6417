"""Markdown tables, result files, and the generated blocks of a Markdown page."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
RESULTS = Path(__file__).with_name("results")


class MissingMarkers(Exception):
    """The page has no markers for this block."""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table with a left-aligned first column and right-aligned numbers."""
    alignment = ["---", *["---:"] * (len(headings) - 1)]
    lines = [headings, alignment, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Format a number with three significant digits and no exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %"


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.0f} MB"


def verdict(met: bool) -> str:
    return "yes" if met else "**no**"


def save(name: str, text: str, result: Any, *, publish: bool) -> None:
    """Print the text, and write it and the result with all rounds into `RESULTS`.

    `publish` also writes the text into its block of docs/performance.md.
    """
    print(text)
    RESULTS.mkdir(exist_ok=True)
    document = json.dumps(dataclasses.asdict(result), indent=1, default=str)
    (RESULTS / f"{name}.json").write_text(f"{document}\n", "utf-8")
    (RESULTS / f"{name}.md").write_text(f"{text}\n", "utf-8")
    if publish:
        publish_block(name, text)


def publish_block(name: str, text: str, docs: Path = DOCS) -> None:
    docs.write_text(fill_block(docs.read_text("utf-8"), name, f"\n{text}\n"), "utf-8")


def fill_block(page: str, name: str, text: str) -> str:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        MissingMarkers: the page has no such markers.
    """
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not block.search(page):
        raise MissingMarkers(f"No <!-- {name} --> in the page.")
    return block.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)
