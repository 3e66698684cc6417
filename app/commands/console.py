"""Tables on a terminal and in a pipe."""

import sys
from collections.abc import Iterator

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table

PIPE_COLUMNS = 120
NO_LIMIT = 10_000


def show(output: RenderableType) -> None:
    """Print tables and text without interpreting markup.

    A table whose columns must not wrap is printed in full width: a narrow terminal wraps its lines,
    where Rich would truncate figures.
    """
    console = Console(markup=False, emoji=False)
    free = console.options.update(max_width=NO_LIMIT)
    needed = (Measurement.get(console, free, table).maximum for table in _rigid(output))
    own = console.width if sys.stdout.isatty() else PIPE_COLUMNS
    # Set both: otherwise Rich assumes 80 columns for a "dumb" terminal.
    console.size = ConsoleDimensions(max(own, *needed, 0), console.height)
    console.print(output)


def printable(text: str) -> str:
    """Text of others, such as names of files, without characters that control a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _rigid(output: RenderableType) -> Iterator[Table]:
    """The tables whose columns must not wrap."""
    if isinstance(output, Group):
        for part in output.renderables:
            yield from _rigid(part)
    elif isinstance(output, Table) and all(column.no_wrap for column in output.columns):
        yield output
