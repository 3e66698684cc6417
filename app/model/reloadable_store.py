"""The loaded models, changed while the service runs: a reload, or one model at a time."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import LastModel, ModelFileError, ModelInUse
from app.model.files import file_name, file_stem, place, stamp
from app.model.head_model import HeadModel
from app.model.model import Model
from app.model.store import Served, Store
from app.model.store_folder import Loaded, duplicate, without_folder
from app.suggestion import unknown_model
from app.system import memory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """The outcome of a reload, by model name or, for broken files, by file name."""

    loaded: list[str]
    dropped: list[str]
    unchanged: list[str]
    broken: dict[str, str]


class ReloadableStore(Store):
    """A store whose models follow its folder; a request keeps the model that it started with."""

    def changed(self) -> bool:
        """Whether the folder looks different from when it was last read."""
        return self._folder.changed()

    def reload(self, on_loaded: Callable[[Model], None] = lambda _: None) -> Changes:
        """Load new and changed files, one after another, then drop the models of deleted ones.

        Each model replaces its predecessor at once, so that the memory of one more is needed, not
        of all; `on_loaded` is told of it. If a changed file is broken, its previous model stays
        loaded, and `broken` names the file. Call it from one thread at a time.

        Raises:
            ModelFileError: the folder cannot be read or none of its files can be served.
        """
        before = {place(entry.path): entry for entry in self._entries.values()}
        after: dict[str, Loaded] = {}
        broken: dict[str, str] = {}
        loaded = []
        paths = self._folder.read()
        lazy = self._folder.lazy(paths)
        for path in paths:
            known = before.pop(place(path), None)
            entry, fresh = known, False
            try:
                if known is None or known.stamp != stamp(path) or _base_changed(known, after):
                    entry = self._folder.load(path, after, lazy=path == lazy)
                    fresh = True
                    self._check_unique(entry, after, paths)
            except ModelFileError as error:
                broken[file_name(path)] = without_folder(error, path)
                log.error("Not loaded: %s", error)
                entry, fresh = known, False
            del known  # or it would stay in memory beside its successor
            if entry is not None:
                after.setdefault(entry.model.name, entry)
            if entry is not None and fresh:
                loaded.append(entry.model.name)
                self._replace(entry)
                on_loaded(entry.model)
        if not after:
            raise ModelFileError(f"No file of the store can be served: {broken}")
        dropped = sorted(self._entries.keys() - after.keys())
        unchanged = sorted(after.keys() - set(loaded))
        self._serve(after)
        self.broken = broken
        log.info(
            "reloaded: %s loaded, %s dropped, %s broken", len(loaded), len(dropped), len(broken)
        )
        return Changes(sorted(loaded), dropped, unchanged, broken)

    def index(self) -> dict[str, str | None]:
        """Every model of the folder, with the reason why it is not loaded, or None if it is.

        A model that is loaded when it is first used counts as not loaded until then.

        A file that is not loaded goes by its stem, which `load` accepts.

        Raises:
            ModelFileError: the folder cannot be read.
        """
        loaded = {entry.path: name for name, entry in self._entries.items()}
        index: dict[str, str | None] = {
            model.name: None if model.state == "loaded" else "loaded when it is first used"
            for model in self
        }
        for path in self._folder.files():
            if path not in loaded:
                index.setdefault(file_stem(path), self.broken.get(file_name(path), "not loaded"))
        return index

    def load(self, name: str) -> str:
        """Load a model of the folder, or load it again; later reloads keep it.

        `name` may be the model's name or its file's stem. Returns the model's name.

        Raises:
            UnknownModel: no file of the folder has that name.
            ModelFileError: the file is broken, or another file has the same model; nothing changes.
        """
        files = self._folder.files()
        path = next((path for path in files if name in self._names_of(path)), None)
        if path is None:
            raise unknown_model(name, map(file_stem, files), "Models of the store")
        entry = self._folder.load(path, self._entries)
        rival = self._entries.get(entry.model.name)
        if rival and rival.path != path:
            raise duplicate(entry)
        entries = [old for old in self._entries.values() if old.path != path]
        entries = [self._on_base(old, entry) for old in entries]
        # The order of a reload: the first model is the default if the configured one is missing.
        ordered = sorted([*entries, entry], key=lambda one: self._folder.order(one.path))
        self._serve({one.model.name: one for one in ordered})
        self.broken = {file: why for file, why in self.broken.items() if file != file_name(path)}
        self._folder.add(path)
        log.info("loaded: %s", entry.model.name)
        return entry.model.name

    def unload(self, name: str) -> None:
        """Stop serving a model, also after reloads; requests that hold it are still answered.

        Raises:
            UnknownModel: no loaded model has that name.
            LastModel: it is the only loaded model.
            ModelInUse: it is the base of loaded heads.
        """
        model = self.get(name)
        if heads := [head.name for head in self if _base_of(head) is model]:
            raise ModelInUse(f"{name} is the base of {', '.join(heads)}. Unload these first.")
        if len(self._entries) == 1:
            raise LastModel(f"{name} is the only loaded model. Load another one first.")
        path = self._entries[name].path
        self._serve({known: entry for known, entry in self._entries.items() if known != name})
        self._folder.remove(path)
        log.info("unloaded: %s", name)

    def _on_base(self, entry: Loaded, base: Loaded) -> Loaded:
        """The entry itself; a head whose base was loaded again, on the new one if it fits."""
        old = _base_of(entry.model)
        if old is None or old.name != base.model.name:
            return entry
        broken = {file: why for file, why in self.broken.items() if file != file_name(entry.path)}
        try:
            return self._folder.load(entry.path, {base.model.name: base})
        except ModelFileError as error:
            broken[file_name(entry.path)] = without_folder(error, entry.path)
            log.error("Not loaded: %s", error)
            return entry
        finally:
            self.broken = broken

    def _serve(self, entries: dict[str, Loaded]) -> None:
        before, default = self.default, self._folder.choose_default(entries)
        self._served = Served(entries, default)
        if default.name != before:
            log.warning("%s answers requests that name no model: %s.", *default[:2])

    def _check_unique(
        self, entry: Loaded, after: Mapping[str, Loaded], paths: Sequence[Path]
    ) -> None:
        """Check that no other file of the folder has the model.

        Raises:
            ModelFileError: another file has it.
        """
        rival = after.get(entry.model.name) or self._entries.get(entry.model.name)
        if rival and rival.path != entry.path and rival.path in paths:
            raise duplicate(entry)

    def _replace(self, entry: Loaded) -> None:
        """Serve a model in place of the one of its name, and free the memory of that one."""
        entries = {**self._entries, entry.model.name: entry}
        self._served = self._served._replace(entries=entries)
        memory.return_free_memory()

    def _names_of(self, path: Path) -> set[str]:
        """The names that clients may use for a file: its stem and the name of its loaded model."""
        return {file_stem(path)} | {
            name for name, entry in self._entries.items() if entry.path == path
        }


def _base_changed(entry: Loaded, entries: Mapping[str, Loaded]) -> bool:
    """Whether a head's base is not the model that is served under its name."""
    base = _base_of(entry.model)
    served = entries.get(base.name) if base else None
    return base is not None and (served is None or served.model is not base)


def _base_of(model: Model) -> Model | None:
    return model.base if isinstance(model, HeadModel) else None
