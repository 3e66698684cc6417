"""Accuracy that was measured on labelled photos, kept in the card of the model."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.card.card import CARD_KEY, Measurement, parse_card
from models.evaluation.evaluate import OWN
from models.export.export import read_metadata, replace_card


def check_writable(paths: Iterable[Path], decodes: Sequence[str], crops: Sequence[str]) -> None:
    """Check before anything is measured that what comes of it can be kept.

    Raises:
        ValueError: there would be several figures for one resolution, or one of another
            preprocessing than the card's, or a folder cannot be written.
    """
    if len(decodes) > 1 or list(crops) != [OWN]:
        raise ValueError(
            "--write keeps one figure a resolution, of the model's own preprocessing: leave out "
            "--preprocessing, and name one --decode"
        )
    for folder in {path.parent for path in paths}:
        if not os.access(folder, os.W_OK):
            raise ValueError(f"--write: {folder} cannot be written")


def keep_accuracy(path: Path, measured: Iterable[Measurement]) -> None:
    """Put measurements into a model's card, one a resolution, in place of what was measured before.

    Raises:
        OSError: the file cannot be written; it is then as it was.
    """
    by_side = {one.resolution: one for one in measured}
    card = parse_card(read_metadata(path)[CARD_KEY])
    ordered = tuple(by_side[side] for side in sorted(by_side, reverse=True))
    replace_card(path, card.model_copy(update={"measured": ordered}))
