"""Tables on a terminal and in a pipe."""

import sys
from collections.abc import Iterator

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table

PIPE_COLUMNS = 120
NO_LIMIT = 10_000


def show(output: RenderableType) -> None:
    """Print tables and text as they are, nothing in them taken for markup.

    A table whose columns must not wrap is printed whole: a terminal that is too narrow breaks its
    lines, where Rich would cut figures off.
    """
    console = Console(markup=False, emoji=False)
    free = console.options.update(max_width=NO_LIMIT)
    needed = (Measurement.get(console, free, table).maximum for table in _rigid(output))
    own = console.width if sys.stdout.isatty() else PIPE_COLUMNS
    # Both, as a "dumb" terminal is taken for 80 columns if one is missing.
    console.size = ConsoleDimensions(max(own, *needed, 0), console.height)
    console.print(output)


def _rigid(output: RenderableType) -> Iterator[Table]:
    """The tables in which nothing may wrap."""
    if isinstance(output, Group):
        for part in output.renderables:
            yield from _rigid(part)
    elif isinstance(output, Table) and all(column.no_wrap for column in output.columns):
        yield output
