"""Checks for plot files, which matplotlib of the extra `plot` draws."""

from importlib.util import find_spec
from pathlib import Path

FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Check that a plot can be drawn into this file, before anything takes long.

    Raises:
        ValueError: the format is not supported, or matplotlib is not installed.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"Unsupported plot format: {path}. Supported: {', '.join(FORMATS)}.")
    if find_spec("matplotlib") is None:
        raise ValueError(
            "Plots need matplotlib. Install it with `pip install '.[plot]'` in a checkout."
        )
