"""`mobilenet-gateway models cost --compare`: the papers' figures beside computed ones."""

import sys
from pathlib import Path

from models.commands.terminal import print_result, print_status


def compare_with_papers(*, compare: bool, as_csv: bool, as_json: bool, plot: Path | None) -> None:
    """Print the comparison as a table, CSV or JSON, and draw it into `plot`.

    Raises:
        ValueError: both CSV and JSON are requested, or the plot cannot be drawn.
        OSError: the plot cannot be written.
    """
    from models.commands.comparison_tables import comparison
    from models.papers.accuracy_plot import draw
    from models.papers.comparison import as_csv as csv_text
    from models.papers.comparison import as_data

    if not compare:
        raise ValueError("--csv and --plot need --compare.")
    if as_csv and as_json:
        raise ValueError("Use either --csv or --json, not both.")
    if plot is not None:
        draw(plot)
        print_status(str(plot))
    if as_csv:
        sys.stdout.write(csv_text())
    else:
        print_result(as_data(), comparison, as_json)
