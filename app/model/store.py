"""The folder of .onnx files: found, loaded, looked up by name, read again while it serves."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import LastModel, ModelFileError, UnknownModel
from app.model.files import FileStamp, find_files, look, stamp
from app.model.model import Model
from app.system import memory

log = logging.getLogger(__name__)

AUTO = "auto"  # stands where a model's name may stand: choose one
Load = Callable[[Path], Model]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and the file that it came from."""

    model: Model
    path: Path
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of which folder are served."""

    folder: Path
    names: tuple[str, ...] = ()
    default: str = ""
    allow_untrained: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What reading the folder again did, by model name or, where it is broken, by file name."""

    loaded: list[str]
    dropped: list[str]
    unchanged: list[str]
    broken: dict[str, str]


class Store:
    """The loaded models, by name.

    Models are replaced all at once, by one assignment: a request keeps the model that it began
    with, and an old session goes when the last request that holds it ends.
    """

    def __init__(self, selection: Selection, load: Load) -> None:
        """Load every selected file, one after another.

        Sessions are not made in parallel: onnxruntime does not promise that this is safe.

        Raises:
            ModelFileError: the folder is missing or empty, a file is broken, untrained or a
                second one of the same name, or a named model is not there.
        """
        self._selection = selection
        self._load = load
        self._entries: dict[str, Loaded] = {}
        self._loaded_by_hand: set[str] = set()  # stems of files, as are those that follow
        self._unloaded_by_hand: set[str] = set()
        self.broken: dict[str, str] = {}
        self._seen = look(selection.folder)
        for path in find_files(selection.folder, selection.names):
            entry = self._load_entry(path)
            if entry.model.name in self._entries:
                raise ModelFileError(f"{path}: a second model called {entry.model.name}")
            self._entries[entry.model.name] = entry
        if selection.default and selection.default not in self._entries:
            log.warning(
                "the default model %s is not loaded; %s answers", selection.default, self.default
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
            UnknownModel: none has that name; the text lists those that are loaded.
        """
        entries = self._entries  # looked at once: another thread may replace them in between
        try:
            return entries[self._default_of(entries) if name is None else name].model
        except KeyError:
            names = ", ".join(entries)
            raise UnknownModel(f"no model is called {name!r}; loaded are: {names}") from None

    def holds(self, model: Model) -> bool:
        """Whether this very model is served, and not another one of its name by now."""
        entry = self._entries.get(model.name)
        return entry is not None and entry.model is model

    def path(self, name: str) -> Path:
        """The file that a loaded model came from."""
        return self._entries[name].path

    def changed(self) -> bool:
        """Whether the folder looks different from when it was read."""
        return look(self._selection.folder) != self._seen

    def reload(self) -> Changes:
        """Read the folder again: load what is new or changed, then swap, then drop what is gone.

        A broken file leaves the model that it replaces serving, and is named in `broken`. Runs on
        one thread at a time.

        Raises:
            ModelFileError: the folder cannot be read or nothing in it can be served.
        """
        before = {entry.path: entry for entry in self._entries.values()}
        after: dict[str, Loaded] = {}
        broken: dict[str, str] = {}
        loaded = []
        self._seen = look(self._selection.folder)
        paths = self._wanted_files()
        for path in paths:
            entry = before.get(path)
            try:
                if entry is None or entry.stamp != stamp(path):
                    entry = self._load_entry(path)
                rival = after.get(entry.model.name) or self._entries.get(entry.model.name)
                if rival and rival.path != path and rival.path in paths:
                    raise ModelFileError(f"{path}: a second model called {entry.model.name}")
            except ModelFileError as error:
                broken[path.name] = _without_folder(error, path)
                entry = before.get(path)
                log.error("not loaded: %s", error)
            if entry is not None:
                after.setdefault(entry.model.name, entry)
                if entry is not before.get(path):
                    loaded.append(entry.model.name)
        if not after:
            raise ModelFileError(f"nothing in {self._selection.folder} can be served: {broken}")
        dropped = sorted(self._entries.keys() - after.keys())
        unchanged = sorted(after.keys() - set(loaded))
        self._entries, self.broken = after, broken
        log.info(
            "reloaded: %s loaded, %s dropped, %s broken", len(loaded), len(dropped), len(broken)
        )
        return Changes(sorted(loaded), dropped, unchanged, broken)

    def index(self) -> dict[str, str | None]:
        """Every model that is loaded or could be, with the reason why it is not or None.

        A file that is not loaded goes by its stem, which `load` takes.

        Raises:
            ModelFileError: the folder cannot be read.
        """
        loaded = {entry.path: name for name, entry in self._entries.items()}
        index: dict[str, str | None] = dict.fromkeys(loaded.values())
        for path in find_files(self._selection.folder):
            if path not in loaded:
                index.setdefault(path.stem, self.broken.get(path.name, "not loaded"))
        return index

    def load(self, name: str) -> str:
        """Load a model of the folder, or load it again; it stays loaded after a reload.

        Returns the name of the model, where `name` may be that of its file.

        Raises:
            UnknownModel: no file of the folder has that name.
            ModelFileError: the file is broken, or its model another's rival; nothing changes.
        """
        files = find_files(self._selection.folder)
        path = next((path for path in files if name in self._names_of(path)), None)
        if path is None:
            names = ", ".join(path.stem for path in files)
            raise UnknownModel(f"the store has no {name!r}; it has {names}")
        entry = self._load_entry(path)
        rival = self._entries.get(entry.model.name)
        if rival and rival.path != path:
            raise ModelFileError(f"{path}: a second model called {entry.model.name}")
        entries = [old for old in self._entries.values() if old.path != path]
        # As a reload would order them: the first is the default where the wanted one is missing.
        ordered = sorted([*entries, entry], key=lambda one: self._place(one.path))
        self._entries = {one.model.name: one for one in ordered}
        self.broken = {file: why for file, why in self.broken.items() if file != path.name}
        self._unloaded_by_hand.discard(path.stem)
        self._loaded_by_hand.add(path.stem)
        log.info("loaded: %s", entry.model.name)
        return entry.model.name

    def unload(self, name: str) -> None:
        """Stop serving a model, also after a reload; requests that hold it are answered.

        Raises:
            UnknownModel: none of that name is loaded.
            LastModel: no other is loaded, and the service needs one.
        """
        self.get(name)
        if len(self._entries) == 1:
            raise LastModel(f"{name} is the only model; load another one before")
        stem = self._entries[name].path.stem
        self._entries = {known: entry for known, entry in self._entries.items() if known != name}
        self._loaded_by_hand.discard(stem)
        self._unloaded_by_hand.add(stem)
        log.info("unloaded: %s", name)

    def rest(self) -> None:
        """Give back the memory that no work needs now, which takes some milliseconds."""
        for model in self:
            try:
                model.rest()
            except Exception as error:  # its card says more than its graph takes
                log.warning("%s keeps the memory of its runs: %s", model.name, error)
        memory.give_back_freed()

    def _wanted_files(self) -> list[Path]:
        """The selected files, as they are now, after what was loaded and unloaded by hand."""
        wanted = find_files(self._selection.folder, self._selection.names)
        for path in find_files(self._selection.folder):
            if path.stem in self._loaded_by_hand and path not in wanted:
                wanted.append(path)
        return [path for path in wanted if path.stem not in self._unloaded_by_hand]

    def _place(self, path: Path) -> tuple[int, str]:
        """Sorts files as `_wanted_files` does."""
        names = self._selection.names
        return (names.index(path.stem) if path.stem in names else len(names)), path.name

    def _default_of(self, entries: Mapping[str, Loaded]) -> str:
        wanted = self._selection.default
        return wanted if wanted in entries else next(iter(entries))

    def _names_of(self, path: Path) -> set[str]:
        """What a client may call a file: its stem, or the name of the model loaded from it."""
        return {path.stem} | {name for name, entry in self._entries.items() if entry.path == path}

    def _load_entry(self, path: Path) -> Loaded:
        found = stamp(path)
        model = self._load(path)
        if model.name == AUTO:
            raise ModelFileError(f"{path}: no model can be called {AUTO}, which asks for a choice")
        if not model.card.trained and not self._selection.allow_untrained:
            raise ModelFileError(
                f"{path}: its weights are random (untrained); set GATEWAY_ALLOW_UNTRAINED=true "
                "to serve it all the same, for cost and latency studies"
            )
        return Loaded(model, path, found)


def _without_folder(error: ModelFileError, path: Path) -> str:
    """The reason alone: clients read it, and the folders of this machine are none of theirs."""
    return str(error).removeprefix(f"{path}: ").replace(str(path), path.name)
