"""The examples of one head: a folder with three kinds of files for each.

    ID.json          label, time, type and hash; written last and removed first
    ID.image         the bytes that were sent
    ID.BASE.npy      unit embeddings [views, width] by the base whose file's hash begins with BASE

A name or a label is never part of a path. A file of an example without its `.json` was left behind
by a write that did not end. Every file is synced to disk and then renamed, so none is half there.
"""

import hashlib
import io
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.arrays import Float32Array
from app.errors import NotFound
from app.examples.example import Example
from app.examples.head_versions import TRAINED
from app.system.atomic_file import atomic_write, sync_folder

log = logging.getLogger(__name__)
HEAD_FILE = "head.json"
RECORD, IMAGE, UNITS = ".json", ".image", ".npy"
HASH_LETTERS = 16  # of a base's hash; enough to tell the few bases of one machine apart


@dataclass(frozen=True, slots=True)
class NewExample:
    """An image to keep, with unit embeddings [views, width] by the hash of the base's file."""

    image: bytes
    label: str
    content_type: str
    units: Mapping[str, Float32Array]

    @property
    def size_bytes(self) -> int:
        return len(self.image) + sum(rows.nbytes for rows in self.units.values())


class ExampleFolder:
    """The examples of one head, by id; for one thread at a time."""

    def __init__(self, path: Path, name: str, base: str, *, both_forms: bool) -> None:
        """`both_forms`: the base was not named, so that its other form may serve as well."""
        self.path, self.name, self.base, self.both_forms = path, name, base, both_forms
        self.examples: dict[str, Example] = {}
        self._sizes: dict[str, int] = {}

    @classmethod
    def read(cls, path: Path) -> "ExampleFolder | None":
        """Read a folder and remove what a killed write left; None if it is no head's.

        Raises:
            OSError: it cannot be read, or not be written.
        """
        for part in (*path.glob(".*"), path / TRAINED):
            part.unlink(missing_ok=True)
        try:
            head = json.loads((path / HEAD_FILE).read_bytes())
            folder = cls(path, head["name"], head["base"], both_forms=head["both_forms"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            log.error("Ignored: %s: %s", path / HEAD_FILE, error)
            return None
        folder._read_examples()
        return folder

    def write_head(self) -> None:
        """Make the folder, with the head's name and base.

        Raises:
            OSError: it cannot be written.
        """
        head = {"name": self.name, "base": self.base, "both_forms": self.both_forms}
        with atomic_write(self.path / HEAD_FILE) as file:
            file.write(json.dumps(head).encode())
        sync_folder(self.path)
        sync_folder(self.path.parent)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files of the examples."""
        return sum(list(self._sizes.values()))

    @property
    def labels(self) -> dict[str, int]:
        """The number of examples of each label, in the order of the labels."""
        counts = Counter(example.label for example in list(self.examples.values()))
        return {label: counts[label] for label in sorted(counts)}

    @property
    def fingerprint(self) -> str:
        """A hash of all ids and labels, which tells whether they changed."""
        lines = sorted(f"{one.id} {one.label}" for one in list(self.examples.values()))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def find(self, sha256: str, label: str) -> Example | None:
        """The example with these bytes and this label."""
        for example in list(self.examples.values()):
            if example.sha256 == sha256 and example.label == label:
                return example
        return None

    def get(self, example_id: str) -> Example:
        """The example with this id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.examples[example_id]
        except KeyError:
            raise NotFound(f"{self.name} has no example {example_id[:100]!r}.") from None

    def add(self, new: NewExample) -> Example:
        """Keep an image with its embeddings; on disk when this returns.

        Raises:
            OSError: it cannot be written; nothing is kept then.
        """
        now = time.time_ns()
        latest = max((int(one, 16) for one in self.examples), default=0)
        example = Example(
            id=f"{max(now, latest + 1):016x}",
            label=new.label,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now / 10**9)),
            content_type=new.content_type,
            sha256=hashlib.sha256(new.image).hexdigest(),
        )
        try:
            self._write(f"{example.id}{IMAGE}", new.image)
            for base, rows in new.units.items():
                self._write(units_name(example.id, base), _npy(rows))
            sync_folder(self.path)
            self._write(f"{example.id}{RECORD}", example.to_json())
            sync_folder(self.path)
        except OSError:
            self._remove_files(example.id)
            raise
        self.examples[example.id] = example
        self._sizes[example.id] = self._size_of(self._files_of(example.id))
        return example

    def relabel(self, example_id: str, label: str) -> Example:
        """Give an example another label.

        Raises:
            NotFound: there is no such example.
            OSError: the label cannot be written; the old one stays.
        """
        old = self.get(example_id)
        new = Example(old.id, label, old.created, old.content_type, old.sha256)
        self._write(f"{old.id}{RECORD}", new.to_json())
        sync_folder(self.path)
        self.examples[old.id] = new
        self._sizes[old.id] = self._size_of(self._files_of(old.id))
        return new

    def remove(self, examples: Iterable[Example]) -> None:
        """Remove examples for good.

        Raises:
            OSError: a file cannot be removed.
        """
        for example in list(examples):
            self._remove_files(example.id)
            del self.examples[example.id], self._sizes[example.id]
        sync_folder(self.path)

    def image(self, example: Example) -> bytes:
        return (self.path / f"{example.id}{IMAGE}").read_bytes()

    def units_path(self, example_id: str, base_sha256: str) -> Path:
        return self.path / units_name(example_id, base_sha256)

    def has_units(self, example_id: str, base_sha256: str, views: int, width: int) -> bool:
        """Whether the embeddings of so many views of an example are kept."""
        try:
            return self.units_path(example_id, base_sha256).stat().st_size > views * width * 4
        except OSError:
            return False

    def add_units(self, example_id: str, base_sha256: str, units: Float32Array) -> None:
        """Keep embeddings of an example that it lacked; an example that is gone is no error.

        Raises:
            OSError: they cannot be written.
        """
        if example_id not in self.examples:
            return
        self._write(units_name(example_id, base_sha256), _npy(units))
        self._sizes[example_id] = self._size_of(self._files_of(example_id))

    def _read_examples(self) -> None:
        by_id: dict[str, list[Path]] = {}
        for path in self.path.iterdir():
            if path.suffix in (RECORD, IMAGE, UNITS) and _is_id(path.name.partition(".")[0]):
                by_id.setdefault(path.name.partition(".")[0], []).append(path)
        for example_id, paths in sorted(by_id.items()):
            names = {path.name for path in paths}
            if f"{example_id}{RECORD}" not in names:
                self._remove_files(example_id)
                continue
            try:
                example = Example.from_json((self.path / f"{example_id}{RECORD}").read_bytes())
            except ValueError as error:  # from outside: no write of ours leaves half a file
                log.error("Ignored: example %s of %s: %s", example_id, self.name, error)
                continue
            if f"{example_id}{IMAGE}" not in names or example.id != example_id:
                log.error("Ignored: example %s of %s has no image", example_id, self.name)
                continue
            self.examples[example_id] = example
            self._sizes[example_id] = self._size_of(paths)

    def _write(self, name: str, data: bytes) -> None:
        with atomic_write(self.path / name) as file:
            file.write(data)

    def _files_of(self, example_id: str) -> list[Path]:
        return list(self.path.glob(f"{example_id}.*"))

    def _remove_files(self, example_id: str) -> None:
        (self.path / f"{example_id}{RECORD}").unlink(missing_ok=True)
        for path in self._files_of(example_id):
            path.unlink(missing_ok=True)

    @staticmethod
    def _size_of(paths: Iterable[Path]) -> int:
        return sum(path.stat().st_size for path in paths)


def units_name(example_id: str, base_sha256: str) -> str:
    """The name of the file with an example's embeddings by a base."""
    return f"{example_id}.{base_sha256[:HASH_LETTERS]}{UNITS}"


def _npy(array: Float32Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return len(text) == 16 and int(text, 16) > 0
    return False
