"""The linear classifiers of loaded models, each read from its file by its first explanation."""

from pathlib import Path
from random import Random
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np

from app.arrays import Uint8Array
from app.card.card import EMBEDDING, FEATURES, INPUT, LOGITS
from app.explain.linear_head import LinearHead, find_linear_head
from app.explain.onnx_graph import OnnxGraph
from app.model.head_model import HeadModel
from app.model.model import Model


class LinearHeads:
    """Reads them once for a model, as long as it is loaded: 5 MB for 1000 classes."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Model, LinearHead | None] = WeakKeyDictionary()
        self._reading = Lock()

    def of(self, model: Model, path: Path) -> LinearHead | None:
        """The classifier of a model, whose file is `path`.

        None if it has another one than a linear classifier of pooled features.
        """
        found = self._found.get(model)
        if found is None:
            with self._reading:
                if model not in self._found:
                    self._found[model] = _read(model, path)
                found = self._found[model]
        return found


def _read(model: Model, path: Path) -> LinearHead | None:
    """The classifier in the file, if it answers as the graph does."""
    if isinstance(model, HeadModel):
        features = FEATURES in _offered(model.base)
        return LinearHead(model.head.weights, model.head.bias) if features else None
    try:
        found = find_linear_head(OnnxGraph.read(path))
    except (OSError, ValueError, IndexError):  # the file is gone, or damaged by now
        return None
    if found is None or not {EMBEDDING, FEATURES, LOGITS} <= _offered(model):
        return None
    side = model.card.resolution
    noise = _noise(side)
    features, pooled, logits = model.session.run([FEATURES, EMBEDDING, LOGITS], {INPUT: noise})
    rounding = found.rounding.scale if found.rounding else 1e-3
    if abs(features[0].mean(axis=(1, 2)) - pooled[0]).max() > 2 * rounding:
        return None  # what it pools is something else
    return found if found.fits(pooled[0], logits[0]) else None


def _offered(model: Model) -> set[str]:
    return {output.name for output in model.session.get_outputs()}


def _noise(side: int) -> Uint8Array:
    values = Random(0).randbytes(3 * side * side)  # noqa: S311  the image has no numpy.random
    return np.frombuffer(values, np.uint8).reshape(1, side, side, 3)
