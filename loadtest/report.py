"""Tables in Markdown, results in JSON, and their place in docs/performance.md."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from loadtest.host.machine import Disturbance, Machine

DOCS = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
RESULTS = Path(__file__).with_name("results")


class NoPlace(Exception):
    """The page has no markers for this block."""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; whatever stands in the first column is text, all else is a number."""
    marks = ["---", *["---:"] * (len(headings) - 1)]
    lines = [headings, marks, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Three figures that count, none of them a mere exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %"


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.0f} MB"


def verdict(kept: bool) -> str:
    """Whether a promise was kept."""
    return "yes" if kept else "**no**"


def describe(machine: Machine, disturbed: Disturbance, took_s: float) -> str:
    """One paragraph on where and when."""
    software = ", ".join(f"{name} {release}" for name, release in machine.packages.items())
    return (
        f"{machine.date}, {machine.cores} cores of {machine.cpu}, Linux {machine.kernel}, "
        f"Python {machine.python}, {software}. The run took {took_s / 60:.0f} min; load average "
        f"before it {machine.load_before:.2f}; of the processor time during it, "
        f"{disturbed.others_percent:.1f} % went to processes that have nothing to do with it and "
        f"{disturbed.stolen_percent:.1f} % to the hypervisor."
    )


def write_json(name: str, result: Any) -> Path:
    """Write a result with every round in it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, default=_plain) + "\n", "utf-8")
    return path


def write_markdown(name: str, text: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(text + "\n", "utf-8")
    return path


def fill_block(page: str, name: str, text: str) -> str:
    """The page with what stands between `<!-- name -->` and `<!-- /name -->` replaced.

    Raises:
        NoPlace: it has no such markers.
    """
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not block.search(page):
        raise NoPlace(f"no <!-- {name} --> in the page")
    return block.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


def publish(name: str, text: str, docs: Path = DOCS) -> None:
    """Put the text into its block of the page."""
    docs.write_text(fill_block(docs.read_text("utf-8"), name, f"\n{text}\n"), "utf-8")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
