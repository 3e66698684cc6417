"""The loaded models, looked up by name; `app.model.reloadable_store` changes them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.errors import ModelFileError, UnknownModel
from app.model.model import Model
from app.model.store_folder import Load, Loaded, Selection, StoreFolder
from app.system import memory

log = logging.getLogger(__name__)


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
        self._entries: dict[str, Loaded] = {}
        self.broken: dict[str, str] = {}
        for path in self._folder.read():
            entry = self._folder.load(path)
            if entry.model.name in self._entries:
                raise duplicate(entry)
            self._entries[entry.model.name] = entry
        if selection.default and selection.default not in self._entries:
            log.warning(
                "The default model %s is not loaded; %s answers instead.",
                selection.default,
                self.default,
            )

    @property
    def default(self) -> str:
        """Name of the model that answers when a request names none."""
        return self._default_of(self._entries)

    def __iter__(self) -> Iterator[Model]:
        return (entry.model for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str | None = None) -> Model:
        """The model of that name, or the default.

        Raises:
            UnknownModel: no loaded model has that name.
        """
        entries = self._entries  # read once: another thread may replace it meanwhile
        try:
            return entries[self._default_of(entries) if name is None else name].model
        except KeyError:
            raise UnknownModel(
                f"Unknown model {name!r}. Loaded models: {', '.join(entries)}."
            ) from None

    def holds(self, model: Model) -> bool:
        """Whether this very object is served, not a newer model of the same name."""
        entry = self._entries.get(model.name)
        return entry is not None and entry.model is model

    def path(self, name: str) -> Path:
        """The file that a loaded model came from."""
        return self._entries[name].path

    def release_memory(self) -> None:
        """Return unused memory to the system; takes some milliseconds."""
        for model in self:
            try:
                model.release_memory()
            except Exception as error:  # its graph does not support all resolutions of its card
                log.warning("Cannot release the memory of %s: %s", model.name, error)
        memory.return_free_memory()

    def _default_of(self, entries: Mapping[str, Loaded]) -> str:
        wanted = self._folder.selection.default
        return wanted if wanted in entries else next(iter(entries))


def duplicate(entry: Loaded) -> ModelFileError:
    """The error for a second file with the same model."""
    return ModelFileError(f"{entry.path}: another file already has the model {entry.model.name}.")
