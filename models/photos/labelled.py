"""Labelled photos: a folder for each class, files named by their class, or a CSV of file,label.

A label is an ImageNet synset id (n02123045), a class index (281), or a name, in whatever case and
with spaces, `_` or `-`. Names are the model's own, which go before indices where they are numbers,
and ImageNet's synonyms where they mean one class only.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.photos.views import photo_files
from models.zoo.imagenet import imagenet_labels, imagenet_names

NUMBER = re.compile(r"[\W_]+\d+$")
MOST_NAMED = 10


class LabelError(ValueError):
    """A label is unknown or means several classes; the text names it."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photo and the index of its class."""

    path: Path
    class_id: int


class Labels:
    """What a label may be called, and which class that is."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.count = len(labels)
        self._exact: dict[str, set[int]] = {}
        own: dict[str, set[int]] = {}
        others: dict[str, set[int]] = {}
        for index, name in enumerate(labels):
            self._exact.setdefault(name, set()).add(index)
            own.setdefault(_plain(name), set()).add(index)
        if tuple(labels) == imagenet_labels():
            for index in range(self.count):
                for name in imagenet_names(index):
                    others.setdefault(_plain(name), set()).add(index)
        self._classes = others | own

    def find(self, text: str) -> int:
        """The class that a label means.

        Raises:
            LabelError: none or several.
        """
        # Cardigan is a dog, cardigan is worn; "7" may be another's name
        found = self._exact.get(text, set())
        if not found and text.strip().isdecimal() and int(text) < self.count:
            return int(text)
        found = found or self._classes.get(_plain(text), set())
        if not found:
            raise LabelError(f"{text!r} is no class of the model")
        if len(found) > 1:
            ids = ", ".join(map(str, sorted(found)))
            raise LabelError(f"{text!r} could be any of the classes {ids}; use the index")
        [class_id] = found
        return class_id


def read_labelled(source: Path, labels: Sequence[str]) -> list[Labelled]:
    """Every photo that a folder or a CSV names, with its class.

    Raises:
        LabelError: labels that are unknown or ambiguous, all of them named.
        ValueError: there is no photo, or the CSV has no columns file and label.
    """
    if source.is_dir():
        pairs = _of_folder(source)
    elif source.is_file():
        pairs = _of_csv(source)
    else:
        raise ValueError(f"{source} is neither a folder nor a CSV file")
    if not pairs:
        raise ValueError(f"{source} has no rows")
    return _resolve(pairs, Labels(labels))


def _of_folder(folder: Path) -> list[tuple[Path, str]]:
    """By the folder that a file lies in, or by its own name where it lies at the top."""
    return [
        (path, NUMBER.sub("", path.stem) or path.stem)
        if path.parent == folder
        else (path, path.relative_to(folder).parts[0])
        for path in photo_files(folder)
    ]


def _of_csv(path: Path) -> list[tuple[Path, str]]:
    """Rows of file, relative to the CSV, and label."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = set(rows.fieldnames or ())
            pairs = [
                (path.parent / (row.get("file") or ""), row.get("label") or "") for row in rows
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is neither a folder nor a CSV file in UTF-8: {error}") from error
    if not {"file", "label"} <= columns:
        raise ValueError(f"{path} has no columns file and label")
    if missing := [str(file) for file, _ in pairs if not file.is_file()]:
        raise ValueError(f"{path} names files that are not there: {_some(missing)}")
    times = Counter(file for file, _ in pairs)
    if again := [str(file) for file, count in times.items() if count > 1]:
        raise ValueError(f"{path} names files more than once: {_some(again)}")
    return pairs


def _resolve(pairs: Iterable[tuple[Path, str]], labels: Labels) -> list[Labelled]:
    found: dict[str, int] = {}
    faults: dict[str, str] = {}
    photos = []
    for path, text in pairs:
        if text not in found and text not in faults:
            try:
                found[text] = labels.find(text)
            except LabelError as error:
                faults[text] = str(error)
        if text in found:
            photos.append(Labelled(path, found[text]))
    if faults:
        raise LabelError(f"labels that cannot be told: {_some(list(faults.values()), '; ')}")
    return photos


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _some(texts: Sequence[str] | Mapping[str, str], separator: str = ", ") -> str:
    shown = separator.join(list(texts)[:MOST_NAMED])
    return f"{shown} and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else shown
