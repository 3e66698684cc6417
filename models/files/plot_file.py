"""Files that pictures are drawn into, with matplotlib of the extra `plot`."""

from importlib.util import find_spec
from pathlib import Path

FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Tell, before anything takes long, whether a picture can be drawn into this file.

    Raises:
        ValueError: the ending is not one that is drawn, or matplotlib is not there.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{path} has to end in {', '.join(FORMATS)}")
    if find_spec("matplotlib") is None:
        raise ValueError("a plot needs matplotlib: `pip install '.[plot]'` in a checkout")
