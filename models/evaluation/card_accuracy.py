"""Writing measured accuracy into the card of a model."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.card.card import CARD_KEY, Measurement, parse_card
from models.evaluation.evaluate import MODEL_PREPROCESSING
from models.export.export import read_metadata, replace_card


def check_writable(
    paths: Iterable[Path], decodes: Sequence[str], preprocessings: Sequence[str]
) -> None:
    """Check before the evaluation that its results can be written into the cards.

    Raises:
        ValueError: a resolution would have several results, or one with another preprocessing than
            the card's, or a folder is not writable.
    """
    if len(decodes) > 1 or list(preprocessings) != [MODEL_PREPROCESSING]:
        raise ValueError(
            "--write stores one result per resolution, with the model's own preprocessing. Remove "
            "--preprocessing, and give a single --decode."
        )
    for folder in {path.parent for path in paths}:
        if not os.access(folder, os.W_OK):
            raise ValueError(f"--write: {folder} is not writable.")


def write_accuracy(path: Path, measured: Iterable[Measurement]) -> None:
    """Replace the measurements in a model's card, one per resolution.

    Raises:
        OSError: the file cannot be written; it is then unchanged.
    """
    by_resolution = {each.resolution: each for each in measured}
    card = parse_card(read_metadata(path)[CARD_KEY])
    ordered = tuple(by_resolution[side] for side in sorted(by_resolution, reverse=True))
    replace_card(path, card.model_copy(update={"measured": ordered}))
