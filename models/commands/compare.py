"""`mobilenet-gateway models cost --compare`: the papers' tables, printed and found."""

import sys
from pathlib import Path

from models.commands.terminal import show, tell


def compare_with_papers(*, compare: bool, as_csv: bool, as_json: bool, plot: Path | None) -> None:
    """Print the comparison in the asked form, and draw it into `plot`.

    Raises:
        ValueError: two forms are asked for, or the plot cannot be drawn.
        OSError: the plot cannot be written.
    """
    from models.commands.comparison_tables import comparison
    from models.papers.accuracy_plot import draw
    from models.papers.comparison import as_csv as csv_text
    from models.papers.comparison import as_data

    if not compare:
        raise ValueError("--csv and --plot go with --compare")
    if as_csv and as_json:
        raise ValueError("--csv or --json, not both")
    if plot is not None:
        draw(plot)
        tell(str(plot))
    if as_csv:
        sys.stdout.write(csv_text())
    else:
        show(as_data(), comparison, as_json)
