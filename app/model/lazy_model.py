"""A model whose session is opened when the first image needs it."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from app.card.card import INPUT
from app.card.card_file import read_card_file
from app.errors import ModelFileError
from app.model.files import FileStamp, stamp
from app.model.model import OFFERED, Model, State
from app.settings import Provider

log = logging.getLogger(__name__)


class LazyModel(Model):
    """A model of the store that is described by its file until it is loaded."""

    __slots__ = ("_any_batch", "_model", "_open", "_opening", "_outputs", "_path", "_stamp")

    _any_batch: bool
    _model: Model | None
    _open: Callable[[Path], Model]
    _opening: Lock
    _outputs: dict[str, int]
    _path: Path
    _stamp: FileStamp

    def __init__(self, path: Path, open_model: Callable[[Path], Model]) -> None:
        """Read the card; `open_model` loads the file later.

        Raises:
            ModelFileError: the file cannot be read or has no valid card.
        """
        self._stamp = stamp(path)
        read = read_card_file(path)
        widths = {name: shape[1] for name, shape in read.outputs.items() if name in OFFERED}
        if any(width is None for width in widths.values()) or not read.inputs.get(INPUT):
            raise ModelFileError(
                f"{path}: the shapes of the graph's inputs and outputs are missing."
            )
        self.card = read.card
        self.file_bytes = self._stamp.size_bytes
        self._any_batch = read.inputs[INPUT][0] is None
        self._outputs = {name: width for name, width in widths.items() if width is not None}
        self._path = path
        self._open = open_model
        self._opening = Lock()
        self._model = None
        self.wide = None
        self.used = False

    @property
    def state(self) -> State:
        if self._model is not None:
            return "loaded"
        return "loading" if self._opening.locked() else "not_loaded"

    @property
    def session(self) -> Any:
        return self._loaded().session

    @property
    def providers(self) -> list[Provider]:
        """The execution providers that run it; none before it is loaded."""
        model = self._model
        return model.providers if model else []

    @property
    def outputs(self) -> dict[str, int]:
        return dict(self._outputs)

    @property
    def any_batch(self) -> bool:
        return self._any_batch

    def load(self) -> None:
        """Open the session, once; other threads wait for it.

        Raises:
            ModelFileError: the file cannot be loaded, or has changed since its card was read.
        """
        self._loaded()

    def unload(self) -> None:
        """Close the session until it is used again; runs of it end first."""
        with self._opening:
            self._model = None
        log.info("unloaded until it is used: %s", self.name)

    def release_memory(self) -> None:
        model = self._model
        if model is not None:
            model.release_memory()

    def _loaded(self) -> Model:
        with self._opening:
            if self._model is None:
                if stamp(self._path) != self._stamp:
                    raise ModelFileError(f"{self._path}: the file has changed. Reload the store.")
                self._model = self._open(self._path)
                log.info("loaded: %s", self.name)
            return self._model
