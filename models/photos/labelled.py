"""Labelled photos: a folder for each class, files named by their class, or a CSV of file,label.

A label is an ImageNet synset id (n02123045), a class index (281) or a class name, in any case and
with spaces, `_` or `-`. Class names of the model take precedence over indices; ImageNet's synonyms
work where they mean one class only.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.photos.views import photo_files
from models.zoo.imagenet import imagenet_labels, imagenet_names

TRAILING_NUMBER = re.compile(r"[\W_]+\d+$")
MAX_LISTED = 10


class LabelError(ValueError):
    """A label is unknown or ambiguous; the message names it."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    path: Path
    class_id: int


class LabelIndex:
    """The classes of a model by every label that may name them."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.count = len(labels)
        self._exact: dict[str, set[int]] = defaultdict(set)
        names: dict[str, set[int]] = defaultdict(set)
        synonyms: dict[str, set[int]] = defaultdict(set)
        is_imagenet = tuple(labels) == imagenet_labels()
        for index, name in enumerate(labels):
            self._exact[name].add(index)
            names[_normalized(name)].add(index)
            for synonym in imagenet_names(index) if is_imagenet else ():
                synonyms[_normalized(synonym)].add(index)
        self._classes = synonyms | names

    def find(self, text: str) -> int:
        """The index of the class that a label means.

        Raises:
            LabelError: it means no class, or several.
        """
        # ImageNet has the dog "Cardigan" and the garment "cardigan", and "7" may be a class name
        found = self._exact.get(text, set())
        if not found and text.strip().isdecimal() and int(text) < self.count:
            return int(text)
        found = found or self._classes.get(_normalized(text), set())
        if not found:
            raise LabelError(f"{text!r} is not a class of the model")
        if len(found) > 1:
            ids = ", ".join(map(str, sorted(found)))
            raise LabelError(f"{text!r} means several classes ({ids}); use the class index")
        [class_id] = found
        return class_id


def read_labelled(source: Path, labels: Sequence[str]) -> list[LabelledPhoto]:
    """Every photo in a folder or a CSV, with its class.

    Raises:
        LabelError: labels are unknown or ambiguous; the message lists them.
        ValueError: there is no photo, or the CSV has no columns file and label.
    """
    if source.is_dir():
        pairs = _read_folder(source)
    elif source.is_file():
        pairs = _read_csv(source)
    else:
        raise ValueError(f"{source} is neither a folder nor a CSV file.")
    if not pairs:
        raise ValueError(f"{source} has no rows.")
    index = LabelIndex(labels)
    found: dict[str, int] = {}
    errors = []
    for text in dict.fromkeys(text for _, text in pairs):
        try:
            found[text] = index.find(text)
        except LabelError as error:
            errors.append(str(error))
    if errors:
        raise LabelError(f"Cannot resolve these labels: {_first(errors, '; ')}.")
    return [LabelledPhoto(path, found[text]) for path, text in pairs]


def _read_folder(folder: Path) -> list[tuple[Path, str]]:
    """Photos with the name of their top folder, or without one with their file name."""
    return [
        (path, TRAILING_NUMBER.sub("", path.stem) or path.stem)
        if path.parent == folder
        else (path, path.relative_to(folder).parts[0])
        for path in photo_files(folder)
    ]


def _read_csv(path: Path) -> list[tuple[Path, str]]:
    """Rows of a CSV; `file` is relative to the CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = set(rows.fieldnames or ())
            pairs = [
                (path.parent / (row.get("file") or ""), row.get("label") or "") for row in rows
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}.") from error
    if not {"file", "label"} <= columns:
        raise ValueError(f"{path} has no columns file and label.")
    if missing := [str(file) for file, _ in pairs if not file.is_file()]:
        raise ValueError(f"{path} names missing files: {_first(missing)}.")
    counts = Counter(file for file, _ in pairs)
    if duplicates := [str(file) for file, count in counts.items() if count > 1]:
        raise ValueError(f"{path} names files more than once: {_first(duplicates)}.")
    return pairs


def _normalized(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _first(texts: Sequence[str], separator: str = ", ") -> str:
    listed = separator.join(texts[:MAX_LISTED])
    return f"{listed} and {len(texts) - MAX_LISTED} more" if len(texts) > MAX_LISTED else listed
