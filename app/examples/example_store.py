"""The folder of the setting `heads`: the examples of every head, and the heads taught on them.

    NAME.head.npz           a head, as in the model store
    examples/KEY/           its examples; KEY is a hash of NAME
    examples/KEY/previous   the head that was served before the last training
    examples/KEY/taught.json

Only files and atomic renames, so a kill at any moment leaves the state before or after it.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

from app.arrays import Float32Array
from app.errors import CardError, ModelFileError, NotFound, StorageFull, StoreUnusable
from app.examples.example import Example
from app.examples.example_folder import ExampleFolder, NewExample
from app.examples.head_versions import HeadVersions
from app.heads.head_file import SUFFIX, read_head
from app.system.atomic_file import sync_folder

log = logging.getLogger(__name__)
EXAMPLES = "examples"
DELETED = ".deleted-"


class ExampleStore:
    """All heads and examples of a folder, which this process alone may change.

    What changes files is for any thread, one change at a time. Folders that `get` returned may be
    read meanwhile.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Open the folder, make it if it is missing, and remove what killed writes left.

        Raises:
            OSError: it cannot be read or written.
            StoreUnusable: another process uses it.
        """
        self.path, self.limit_bytes = path, limit_bytes
        self._lock = Lock()
        self._heads: dict[str, ExampleFolder] = {}
        (path / EXAMPLES).mkdir(parents=True, exist_ok=True)
        self._handle = _lock_folder(path / EXAMPLES)
        for part in path.glob(f".*{SUFFIX}.*"):
            part.unlink()
        for folder in sorted((path / EXAMPLES).iterdir()):
            self._open(folder)
        for file in sorted(path.glob(f"*{SUFFIX}")):
            self._adopt(file)

    def close(self) -> None:
        """Let another process use the folder."""
        os.close(self._handle)

    def names(self) -> list[str]:
        return sorted(self._heads)

    def get(self, name: str) -> ExampleFolder:
        """The examples of a head.

        Raises:
            NotFound: there is no head of this name.
        """
        try:
            return self._heads[name]
        except KeyError:
            known = f"Heads: {', '.join(self.names())}." if self._heads else "There are no heads."
            raise NotFound(f"No head {name[:100]!r} was taught over HTTP. {known}") from None

    def find(self, name: str) -> ExampleFolder | None:
        return self._heads.get(name)

    def versions(self, name: str) -> HeadVersions:
        """The files of a head: the one that is served and the one before."""
        return HeadVersions(self.path / f"{name}{SUFFIX}", self._folder(name))

    def add(
        self, new: NewExample, name: str, base: str, *, both_forms: bool
    ) -> tuple[Example, bool]:
        """Keep an example, on disk when this returns; whether it was there already.

        `base` and `both_forms` are of a head that has no example yet.

        Raises:
            StorageFull: the examples would be beyond their limit.
            OSError: it cannot be written; nothing is kept then.
        """
        with self._lock:
            folder = self._heads.get(name)
            sha256 = hashlib.sha256(new.image).hexdigest()
            if folder and (known := folder.find(sha256, new.label)):
                return known, True
            self._check_room(new.size_bytes)
            if folder is not None:
                return folder.add(new), False
            folder = self._create(name, base, both_forms=both_forms)
            try:
                return folder.add(new), False
            except OSError:
                del self._heads[name]
                shutil.rmtree(folder.path, ignore_errors=True)
                raise

    def add_units(
        self, folder: ExampleFolder, example_id: str, units: Mapping[str, Float32Array]
    ) -> None:
        """Keep embeddings that an example lacks, by the hash of the base's file.

        Raises:
            StorageFull: the examples would be beyond their limit.
            OSError: they cannot be written.
        """
        with self._lock:
            self._check_room(sum(rows.nbytes for rows in units.values()))
            for sha256, rows in units.items():
                folder.add_units(example_id, sha256, rows)

    def relabel(self, name: str, example_id: str, label: str) -> Example:
        """Give an example another label.

        Raises:
            NotFound: there is no such head or example.
            OSError: it cannot be written; the old label stays.
        """
        with self._lock:
            return self.get(name).relabel(example_id, label)

    def remove_example(self, name: str, example_id: str) -> None:
        """Remove an example for good.

        Raises:
            NotFound: there is no such head or example.
            OSError: it cannot be removed.
        """
        with self._lock:
            folder = self.get(name)
            folder.remove([folder.get(example_id)])

    def remove_label(self, name: str, label: str) -> None:
        """Remove all examples of a label for good.

        Raises:
            NotFound: there is no such head, or no example of the label.
            OSError: one cannot be removed.
        """
        with self._lock:
            folder = self.get(name)
            own = [one for one in folder.examples.values() if one.label == label]
            if not own:
                raise NotFound(f"{name} has no example of {label[:100]!r}.")
            folder.remove(own)

    def delete(self, name: str) -> None:
        """Remove a head with its file and its examples.

        Raises:
            NotFound: there is no head of this name.
            OSError: it cannot be removed.
        """
        with self._lock:
            folder = self.get(name)
            self.versions(name).path.unlink(missing_ok=True)
            sync_folder(self.path)
            gone = folder.path.with_name(f"{DELETED}{time.time_ns():x}")
            folder.path.replace(gone)  # from here on the examples are gone as a whole
            sync_folder(gone.parent)
            del self._heads[name]
            shutil.rmtree(gone, ignore_errors=True)

    def _check_room(self, added_bytes: int) -> None:
        held_bytes = sum(folder.size_bytes for folder in self._heads.values())
        if held_bytes + added_bytes > self.limit_bytes:
            raise StorageFull(
                f"The examples have {held_bytes} of {self.limit_bytes} bytes "
                "(heads_limit_bytes). Delete examples that you no longer need."
            )

    def _create(self, name: str, base: str, *, both_forms: bool) -> ExampleFolder:
        folder = ExampleFolder(self._folder(name), name, base, both_forms=both_forms)
        folder.write_head()
        self._heads[name] = folder
        return folder

    def _folder(self, name: str) -> Path:
        return self.path / EXAMPLES / hashlib.sha256(name.encode()).hexdigest()[:32]

    def _open(self, path: Path) -> None:
        if path.name.startswith(DELETED):
            shutil.rmtree(path)
        elif path.is_dir() and (folder := ExampleFolder.read(path)):
            self._heads[folder.name] = folder
        elif path.is_dir() and not any(path.iterdir()):  # made by a write that did not go on
            path.rmdir()

    def _adopt(self, file: Path) -> None:
        """Let a head without examples, such as one from a backup, be seen and deleted."""
        name = file.name.removesuffix(SUFFIX)
        if name in self._heads or name.startswith("."):
            return
        try:
            head, _ = read_head(file)
        except (OSError, ModelFileError, CardError) as error:
            log.error("Ignored: %s: %s", file, error)
            return
        if head.card.name == name:
            self._create(name, head.base_name, both_forms=False)


def _lock_folder(path: Path) -> int:
    """Hold a folder until the returned handle is closed, or this process ends.

    Raises:
        StoreUnusable: another process holds it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network file system may have no locks; go on without one
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreUnusable(
                    "Another process uses the folder of the setting `heads`. Give each its own."
                ) from None
    except StoreUnusable:
        os.close(handle)
        raise
    return handle
