"""A second session of the default model, which infers a lone image on several cores.

A session has a fixed number of threads. One thread a run answers most images per second; where one
image is all there is to do, the other cores would wait.
"""

import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.arrays import Uint8Array
from app.card.card import INPUT, PROBABILITIES
from app.errors import ModelFileError
from app.model.files import stamp
from app.model.head_model import HeadModel
from app.model.model import Model
from app.model.store import Store
from app.system import memory
from app.system.available_memory import available_bytes

# The second session takes less, but a machine with less than this left has other needs.
MIN_AVAILABLE_BYTES = 64 * 2**20
TOLERANCE = 1e-6  # of a probability; the order of sums may differ
log = logging.getLogger(__name__)


class WideSession:
    """Opens the second session when the default model was used, and drops it when it changes."""

    def __init__(
        self,
        store: Store,
        threads: int,
        open_session: Callable[[Path], Any],
        available: Callable[[], int | None] = available_bytes,
    ) -> None:
        """`open_session` opens a file with `threads` per run; with one thread nothing is opened."""
        self._store = store
        self._threads = threads
        self._open = open_session
        self._available = available
        # The newest that was decided on; a weak reference, as a model that is no longer served
        # must free its memory.
        self._decided: weakref.ref[Model] | None = None

    @property
    def threads(self) -> int:
        """The threads that infer a lone image of the default model now."""
        model = self._last
        return self._threads if model is not None and model.wide is not None else 1

    def outdated(self) -> bool:
        """Whether there is something to open or to drop."""
        default, last = self._store.get(), self._last
        return self._threads > 1 and default is not last and (default.used or last is not None)

    def update(self) -> None:
        """Drop the session of an earlier default model and open one for the present one.

        Takes a tenth of a second. Call it from one thread at a time.
        """
        if (last := self._last) is not None:
            _base(last).wide = last.wide = self._decided = None
        model = self._store.get()
        if not model.used or model.state != "loaded":
            return
        self._decided = weakref.ref(model)
        if model.providers != ["cpu"]:
            return
        left = self._available()
        if left is not None and left < MIN_AVAILABLE_BYTES:
            log.warning("Only %s MB are available; a lone image uses one core.", left // 10**6)
            return
        try:
            _base(model).wide = model.wide = self._open_like(_base(model))
        except Exception as error:  # onnxruntime's errors have no common class
            log.warning("A lone image of %s uses one core: %s", model.name, error)
        else:
            memory.return_free_memory()
            log.info("A lone image of %s uses %s cores.", model.name, self._threads)

    @property
    def _last(self) -> Model | None:
        return None if self._decided is None else self._decided()

    def _open_like(self, model: Model) -> Any:
        """Open the session of a model's file and compare its answer for an image.

        Raises:
            ModelFileError: the file is another one by now, or the answers differ.
        """
        self._store.release_memory()  # else what stays could keep what runs left
        entry = self._store.loaded(model.name)
        session = self._open(entry.path)
        if entry.model is not model or stamp(entry.path) != entry.stamp:
            raise ModelFileError("its file has changed.")
        image = _noise(model.card.resolution)
        [answer] = session.run([PROBABILITIES], {INPUT: image})
        if not np.allclose(answer, model.probabilities(image), rtol=0, atol=TOLERANCE):
            raise ModelFileError(f"on {self._threads} cores it answers differently.")
        return session


def _base(model: Model) -> Model:
    """The model with the session: a head has none."""
    return model.base if isinstance(model, HeadModel) else model


def _noise(side: int) -> Uint8Array:
    """An image [1, side, side, 3] of many colours, the same every time."""
    values = np.arange(side * side * 3, dtype=np.uint32) * 2654435761 >> 24  # Knuth's hash
    return values.astype(np.uint8).reshape(1, side, side, 3)
