"""The loaded models, looked up by name; `app.model.reloadable_store` changes them."""

import logging
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from app.model.forms import Default
from app.model.model import Model
from app.model.store_folder import Load, Loaded, Selection, StoreFolder
from app.suggestion import unknown_model
from app.system import memory

log = logging.getLogger(__name__)


class Served(NamedTuple):
    """What is replaced as a whole when the models change."""

    entries: dict[str, Loaded]  # by name, in the order of the folder
    default: Default


class Store:
    """The loaded models, by name.

    A change replaces all of them in one assignment: a request keeps the model that it started with,
    and the last request that holds an old session frees it.
    """

    def __init__(self, selection: Selection, load: Load) -> None:
        """Load every selected file, one after another.

        Not in parallel: onnxruntime does not guarantee that creating sessions is thread-safe.

        Raises:
            ModelFileError: the folder is missing or empty, a file is broken or untrained, two
                files have the same model name, or a selected model is missing.
        """
        self._folder = StoreFolder(selection, load)
        self._aliases = selection.aliases
        self.broken: dict[str, str] = {}
        entries = self._folder.load_all(self.broken)
        self._served = Served(entries, self._folder.choose_default(entries))
        missing = bool(selection.default) and selection.default not in entries
        log.log(
            logging.WARNING if missing else logging.INFO,
            "%s answers requests that name no model: %s.", *self._served.default[:2],
        )  # fmt: skip

    @property
    def default(self) -> str:
        """Name of the model that answers when a request names none."""
        return self._served.default.name

    @property
    def default_reason(self) -> str:
        """Why it is that one."""
        return self._served.default.reason

    def __iter__(self) -> Iterator[Model]:
        return (entry.model for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str | None = None) -> Model:
        """The model of that name or alias, or the default.

        Raises:
            UnknownModel: no loaded model has that name.
        """
        served = self._served  # read once: another thread may replace it meanwhile
        try:
            return served.entries[served.default.name if name is None else name].model
        except KeyError:
            target = self._aliases.get(name or "", name) or served.default.name
            if name and target in served.entries:
                return served.entries[target].model
            raise unknown_model(name or "", (*served.entries, *self._aliases)) from None

    def holds(self, model: Model) -> bool:
        """Whether this very object is served, not a newer model of the same name."""
        entry = self._entries.get(model.name)
        return entry is not None and entry.model is model

    def loaded(self, name: str) -> Loaded:
        """A loaded model with its file."""
        return self._entries[name]

    def path(self, name: str) -> Path:
        """The file that a loaded model came from."""
        return self.loaded(name).path

    def release_memory(self, names: Container[str] | None = None) -> None:
        """Return unused memory of these models, or of all; takes some milliseconds for each."""
        for model in self:
            if names is not None and model.name not in names:
                continue
            try:
                model.release_memory()
            except Exception as error:  # its graph does not support all resolutions of its card
                log.warning("Cannot release the memory of %s: %s", model.name, error)
        memory.return_free_memory()

    @property
    def _entries(self) -> dict[str, Loaded]:
        return self._served.entries
