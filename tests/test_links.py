"""Links and file names in the pages of the project lead somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("deploy/*.md"),
]
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def links() -> Iterator[tuple[Path, str]]:
    """Page and target of every relative link."""
    for page in sorted(PAGES):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    return file.exists() and (not anchor or anchor in anchors(file))


def test_a_link_leads_to_a_file_and_a_heading() -> None:
    found = list(links())
    assert len(found) > 100
    assert not [f"{page}: {target}" for page, target in found if not leads_somewhere(page, target)]


def test_the_files_that_the_architecture_names_exist() -> None:
    text = ARCHITECTURE.read_text("utf-8")
    named = re.findall(r"`((?:app|models|tests|docs|deploy|client|container)/[\w./-]*)`", text)
    assert len(named) > 40
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("half", ["app", "models"])
def test_the_drawing_has_the_order_of_imports(half: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one["id"] == f"{half}-layers"]
    drawing = ARCHITECTURE.read_text("utf-8").partition(f"## Packages of {half}/\n")[2]
    drawing = drawing.partition("\n## ")[0]
    drawn = re.findall(r"^ {4}(\w+) ", drawing, re.MULTILINE)
    assert drawn == [*layers[:-1], "ground"]
    ground = drawing.rpartition("ground")[2]
    assert not [name for name in layers[-1].split(" : ") if name not in ground]
