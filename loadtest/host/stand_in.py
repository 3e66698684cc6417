"""A model with random weights in the place of a published one, for the same time and memory.

Run as `python -m loadtest.host.stand_in NAME FOLDER` in a process of its own, since pages that a
benchmark's own process maps are shared with the server that it measures.
"""

import sys
from dataclasses import replace
from pathlib import Path

from app.card.card import Origin
from models.export.export import export, untrained
from models.zoo.zoo import find


def write_stand_in(name: str, folder: Path) -> Path:
    """Write a published float model with random weights; its card says so."""
    origin = Origin(kind="untrained", source="random weights", files=(), licence=None)
    recipe = replace(find(name).recipe, origin=origin, accuracy=None)
    return export(recipe, untrained(recipe.network()), "fp32", folder)


if __name__ == "__main__":
    write_stand_in(sys.argv[1], Path(sys.argv[2]))
