"""The first run of a model, which prepares the memory for all later ones."""

from typing import Any

import numpy as np

from app.card.card import INPUT, PROBABILITIES, ModelCard
from app.errors import ModelFileError, first_line


def warm(session: Any, card: ModelCard) -> None:
    """Run once on a black image, so that the first request is not slower than others.

    Raises:
        ModelFileError: the graph does not run, or does not output one probability per label.
    """
    image = np.zeros((1, card.resolution, card.resolution, 3), np.uint8)
    try:
        shape = session.run([PROBABILITIES], {INPUT: image})[0].shape
    except Exception as error:  # onnxruntime's errors have no common class
        raise ModelFileError(f"the graph does not run: {first_line(error)}") from error
    if shape != (1, len(card.labels)):
        raise ModelFileError(
            f"the graph outputs probabilities {shape} for {len(card.labels)} labels"
        )
