"""The files of the store's folder: which of them are served, and how one is loaded."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from app.card.card import ModelCard
from app.card.card_file import read_card_file
from app.errors import ModelFileError
from app.model.files import (
    FileStamp,
    file_name,
    file_stem,
    find_files,
    import_advice,
    is_head,
    read_stamps,
    stamp,
)
from app.model.forms import Default, choose_default
from app.model.head_model import BaseFiles, load_head_model
from app.model.lazy_model import LazyModel
from app.model.model import Model
from app.model.self_test import obstacle as self_test

log = logging.getLogger(__name__)
AUTO = "auto"  # requests use it in place of a model's name, so no model can have it
Load = Callable[[Path], Model]


@dataclass(frozen=True, slots=True)
class Loaded:
    model: Model
    path: Path
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class Selection:
    """What the settings say about the store; `app.model.forms` explains the default.

    The form of the default model that does not answer is loaded when it is first used, unless
    `both_forms`. `heads` is a folder of more heads.
    """

    folder: Path
    names: tuple[str, ...] = ()
    default: str | None = ""
    allow_untrained: bool = False
    both_forms: bool = False
    int8_obstacle: str | None = None
    heads: Path | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)  # the default model's have ""


class StoreFolder:
    """The selected files, plus and minus those that clients loaded and unloaded."""

    def __init__(self, selection: Selection, load: Load) -> None:
        self.selection = selection
        self._load = load
        self._base_files = BaseFiles()
        self._loading = Lock()  # onnxruntime does not guarantee that opening is thread-safe
        self._added: set[str] = set()  # names of files
        self._removed: set[str] = set()
        self._seen = self._stamps()

    def changed(self) -> bool:
        return self._stamps() != self._seen

    def read(self) -> list[Path]:
        """Read the folder again: the files to serve, in order.

        Raises:
            ModelFileError: the folder cannot be read, is empty, or lacks a selected file.
        """
        self._seen = self._stamps()
        wanted = find_files(self.selection.folder, self.selection.names) + self._taught()
        for path in self.files():
            if file_name(path) in self._added and path not in wanted:
                wanted.append(path)
        return [path for path in wanted if file_name(path) not in self._removed]

    def files(self) -> list[Path]:
        """Every model file of the folder, and every head of the folder `heads`.

        Raises:
            ModelFileError: the folder cannot be read or is empty.
        """
        return find_files(self.selection.folder) + self._taught()

    def add(self, path: Path) -> None:
        """Serve this file after every reload, whether it is selected or not."""
        self._removed.discard(file_name(path))
        self._added.add(file_name(path))

    def remove(self, path: Path) -> None:
        """Do not serve this file after a reload."""
        self._added.discard(file_name(path))
        self._removed.add(file_name(path))

    def order(self, path: Path) -> tuple[bool, int, str]:
        """Sort key that orders files as `read` does."""
        names = self.selection.names
        rank = names.index(file_stem(path)) if file_stem(path) in names else len(names)
        return is_head(path), rank, file_name(path)

    def lazy(self, paths: Sequence[Path]) -> Path | None:
        """The form of the default model that waits for its first use, if these files have one."""
        if self.selection.default is not None or self.selection.both_forms:
            return None
        return self.default_files(paths)[1]

    def default_files(self, paths: Sequence[Path]) -> tuple[Path, Path | None]:
        """The file of the better form of the default model, and that of its other form."""
        cards: dict[str, tuple[Path, ModelCard]] = {}
        graphs = [path for path in paths if not is_head(path)]
        for path in graphs if len(graphs) > 1 else ():
            with suppress(ModelFileError):  # `load` will report it
                card = read_card_file(path).card
                cards.setdefault(card.name, (path, card))
        if not cards:
            return paths[0], None
        default = choose_default(
            [card for _, card in cards.values()], None, self.selection.int8_obstacle
        )
        return cards[default.name][0], cards[default.other][0] if default.other else None

    def load(self, path: Path, entries: Mapping[str, Loaded], *, lazy: bool = False) -> Loaded:
        """Load one file; if it is `lazy`, only its card, and the rest when it is used.

        A head is loaded onto its base, one of the `entries` that are loaded already.

        Raises:
            ModelFileError: it is broken, untrained although that is not allowed, or has a reserved
                name.
        """
        read = stamp(path)
        model: Model
        if is_head(path):
            bases = {name: one for name, one in entries.items() if not is_head(one.path)}
            loaded = {name: (base.model, base.path) for name, base in bases.items()}
            model = load_head_model(path, loaded, self._base_files)
            base = bases[model.base.name]
            if stamp(base.path) != base.stamp:
                raise ModelFileError(
                    f"{path}: the file of its base {model.base.name} has changed. Reload the store."
                )
        else:
            model = LazyModel(path, self._open) if lazy else self._open(path)
        if model.name == AUTO:
            raise ModelFileError(f"{path}: the name {AUTO!r} is reserved for the automatic choice.")
        if not model.card.trained and not self.selection.allow_untrained:
            raise ModelFileError(
                f"{path}: its weights are random (untrained). Set GATEWAY_ALLOW_UNTRAINED=true to "
                "serve it anyway, for cost and latency studies."
            )
        return Loaded(model, path, read)

    def choose_default(self, entries: Mapping[str, Loaded]) -> Default:
        """The default among loaded models, whose session is open then.

        Raises:
            ModelFileError: its file cannot be loaded any more.
        """
        cards = [entry.model.card for entry in entries.values()]
        wanted, obstacle = self.selection.default, self.selection.int8_obstacle
        default = choose_default(cards, wanted, obstacle)
        chosen = entries[default.name].model
        if default.other and chosen.card.precision == "int8" and (found := self_test(chosen)):
            default = choose_default(cards, wanted, found)
        entries[default.name].model.load()
        return default

    def load_all(self, broken: dict[str, str]) -> dict[str, Loaded]:
        """Load every file to serve at the start, one after another.

        A head that cannot be loaded is added to `broken`: a new base must not keep the service from
        starting.

        Raises:
            ModelFileError: a model cannot be loaded, or a head that the settings name; or two files
                have the same model.
        """
        entries: dict[str, Loaded] = {}
        paths = self.read()
        lazy = self.lazy(paths)
        for path in paths:
            try:
                entry = self.load(path, entries, lazy=path == lazy)
                if entry.model.name in entries:
                    raise duplicate(entry)
            except ModelFileError as error:
                if self._is_needed(path):
                    raise
                log.error("Not loaded: %s", error)
                broken[file_name(path)] = without_folder(error, path)
                continue
            entries[entry.model.name] = entry
        if advice := import_advice(self.selection.folder):
            log.warning(advice)
        return entries

    def _is_needed(self, path: Path) -> bool:
        """Whether the service must not start without this file."""
        named = file_stem(path) in self.selection.names and path.parent == self.selection.folder
        return named or not is_head(path)

    def _taught(self) -> list[Path]:
        """The heads of the folder `heads`; none if it does not exist yet."""
        return [path for path in self._stamps_of_heads() if is_head(path)]

    def _stamps(self) -> dict[Path, FileStamp]:
        return read_stamps(self.selection.folder) | self._stamps_of_heads()

    def _stamps_of_heads(self) -> dict[Path, FileStamp]:
        return read_stamps(self.selection.heads) if self.selection.heads else {}

    def _open(self, path: Path) -> Model:
        with self._loading:
            return self._load(path)


def without_folder(error: ModelFileError, path: Path) -> str:
    """The reason without paths: clients read it and must not learn the folders of this machine."""
    return str(error).removeprefix(f"{path}: ").replace(str(path), file_name(path))


def duplicate(entry: Loaded) -> ModelFileError:
    """The error for a second file with the same model."""
    return ModelFileError(f"{entry.path}: another file already has the model {entry.model.name}.")
