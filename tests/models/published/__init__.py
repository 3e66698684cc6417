"""Published figures of the family, one CSV a table, its source in the first line.

A cell that does not follow from the architecture is a row of errata.csv: never a wider tolerance.
"""

import csv
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

Row = dict[str, str]


def rows(table: str) -> list[Row]:
    """The rows of a table as text, by column."""
    with (FOLDER / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        if not file.readline().startswith("# source: "):
            raise ValueError(f"{table} does not say where it comes from")
        return list(csv.DictReader(file))


@cache
def errata() -> dict[tuple[str, str, str], Row]:
    """Misprints by (table, row, column): `printed`, what the `architecture` gives, `why`."""
    return {(row["table"], row["row"], row["column"]): row for row in rows("errata")}


def agrees(table: str, row: str, column: str, cell: str, found: float, tolerance: float) -> bool:
    """Whether a computed figure is the printed one.

    Where the cell is a misprint, the figure has to be what the architecture gives, and the cell
    has to be off indeed, so that no erratum outlives its reason.
    """
    off = abs(found - float(cell))
    erratum = errata().get((table, row, column))
    if erratum is None:
        return off <= tolerance
    right = abs(found - float(erratum["architecture"])) <= 1e-9 * found
    return right and erratum["printed"] == cell and off > tolerance


def half_unit(cell: str) -> float:
    """Half of a unit in the last place of a printed figure: what rounding may have taken off."""
    _, _, decimals = cell.partition(".")
    return 0.5 * 10.0 ** -len(decimals)
