"""The files of the store's folder: which of them are served, and how one is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelFileError
from app.model.files import FileStamp, find_files, read_stamps, stamp
from app.model.model import Model

AUTO = "auto"  # requests use it in place of a model's name, so no model can have it
Load = Callable[[Path], Model]


@dataclass(frozen=True, slots=True)
class Loaded:
    model: Model
    path: Path
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class Selection:
    folder: Path
    names: tuple[str, ...] = ()
    default: str = ""
    allow_untrained: bool = False


class StoreFolder:
    """The selected files, plus and minus those that clients loaded and unloaded."""

    def __init__(self, selection: Selection, load: Load) -> None:
        self.selection = selection
        self._load = load
        self._added: set[str] = set()  # stems of files
        self._removed: set[str] = set()
        self._seen = read_stamps(selection.folder)

    def changed(self) -> bool:
        return read_stamps(self.selection.folder) != self._seen

    def read(self) -> list[Path]:
        """Read the folder again: the files to serve, in order.

        Raises:
            ModelFileError: the folder cannot be read, is empty, or lacks a selected file.
        """
        self._seen = read_stamps(self.selection.folder)
        wanted = find_files(self.selection.folder, self.selection.names)
        for path in self.files():
            if path.stem in self._added and path not in wanted:
                wanted.append(path)
        return [path for path in wanted if path.stem not in self._removed]

    def files(self) -> list[Path]:
        """Every .onnx file of the folder.

        Raises:
            ModelFileError: the folder cannot be read or is empty.
        """
        return find_files(self.selection.folder)

    def add(self, path: Path) -> None:
        """Serve this file after every reload, whether it is selected or not."""
        self._removed.discard(path.stem)
        self._added.add(path.stem)

    def remove(self, path: Path) -> None:
        """Do not serve this file after a reload."""
        self._added.discard(path.stem)
        self._removed.add(path.stem)

    def order(self, path: Path) -> tuple[int, str]:
        """Sort key that orders files as `read` does."""
        names = self.selection.names
        return (names.index(path.stem) if path.stem in names else len(names)), path.name

    def load(self, path: Path) -> Loaded:
        """Load one file.

        Raises:
            ModelFileError: it is broken, untrained although that is not allowed, or has a reserved
                name.
        """
        read = stamp(path)
        model = self._load(path)
        if model.name == AUTO:
            raise ModelFileError(f"{path}: the name {AUTO!r} is reserved for the automatic choice.")
        if not model.card.trained and not self.selection.allow_untrained:
            raise ModelFileError(
                f"{path}: its weights are random (untrained). Set GATEWAY_ALLOW_UNTRAINED=true to "
                "serve it anyway, for cost and latency studies."
            )
        return Loaded(model, path, read)
