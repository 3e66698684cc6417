"""Class names from the files in which people keep them."""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.importing.checks import Refused

MAX_BYTES = 10_000_000
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # Windows' editor and PowerShell
HEADERS = {"label", "labels", "class", "classes", "class_name", "class name", "name", "names"}
# Teachable Machine's metadata.json, Hugging Face's config.json, and what training scripts write
LISTS = ("labels", "id2label", "class_indices", "class_to_idx", "class_names", "classes", "names")
# "0 Flask" of Teachable Machine, "0: Flask", "0,Flask"
NUMBERED = re.compile(r"\s*(\d+)\s*[\s:,;]\s*(\S.*?)\s*")


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names in the order of the classes.

    Read are: a text file with a name a line, perhaps behind its number; a CSV of numbers and names
    in either order; a JSON list; a JSON object by number, or Keras' `class_indices` by name; and a
    JSON object that has one of these as its `labels` or `id2label`.

    Raises:
        Refused: it cannot be read, or a name is missing.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"--labels: {path} is larger than 10 MB, which no list of names is.")
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"--labels: {path}: {error.strerror}") from error
    return parse_labels(content, path.suffix, f"--labels: {path}")


def parse_labels(content: bytes, suffix: str, where: str) -> tuple[str, ...]:
    """Class names in the content of a file with that suffix; `where` begins an error.

    Raises:
        Refused: it is not a list of names, or a name is missing.
    """
    try:
        text = decode(content)
        if suffix.lower() == ".json" or _is_json(text):
            labels = _from_json(json.loads(text))
        elif suffix.lower() in (".csv", ".tsv"):
            labels = _from_csv(text)
        else:
            labels = _from_lines(text.rstrip().splitlines())
    except (ValueError, RecursionError) as error:
        raise Refused(f"{where} is not a list of names: {error}.") from error
    names = tuple(label.strip() for label in labels)
    if "" in names:
        raise Refused(f"{where}: line {names.index('') + 1} is empty.")
    return names


def decode(content: bytes) -> str:
    """The text of a file that any editor may have saved."""
    return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")


def _from_lines(lines: Sequence[str]) -> Sequence[str]:
    """Names by their numbers, if all lines have one and these are 0, 1, 2 and so on."""
    found = [NUMBERED.fullmatch(line) for line in lines]
    pairs = [(int(one[1]), one[2]) for one in found if one is not None]
    return _by_number(pairs) or lines if len(pairs) == len(lines) else lines


def _by_number(pairs: Iterable[tuple[int, str]]) -> list[str] | None:
    """Names in the order of their numbers; None if these do not count from 0."""
    ordered = sorted(pairs)
    if [number for number, _ in ordered] != list(range(len(ordered))):
        return None
    return [name for _, name in ordered]


def _from_csv(text: str) -> Sequence[str]:
    delimiter = next((one for one in ",;\t" if one in text), ",")
    read = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows = [row for row in read if any(cell.strip() for cell in row)]
    if all(len(row) == 1 for row in rows):
        names = [name for [name] in rows]
        return names[1:] if names and names[0].strip().lower() in HEADERS else names
    for number, name in ((0, 1), (1, 0)):
        for body in (rows, rows[1:]):  # with a header, or without
            if body and all(len(row) > 1 and row[number].strip().isdigit() for row in body):
                ordered = _by_number((int(row[number]), row[name]) for row in body)
                if ordered is not None:
                    return ordered
    raise ValueError("no column has the numbers from 0 on, with a name beside each")


def _is_json(text: str) -> bool:
    """Whether a text is a list or an object, whatever its file is called."""
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _from_json(data: object) -> Sequence[str]:
    """A list, {"0": name, ...}, {"0": [id, name], ...}, {name: 0, ...} or {name: "0", ...}."""
    if isinstance(data, dict):
        data = next((data[key] for key in LISTS if isinstance(data.get(key), list | dict)), data)
    if isinstance(data, dict):
        data = _by_value(data) if _is_class_indices(data) else _by_key(data)
    if not isinstance(data, list):
        raise ValueError("neither a list nor an object")
    names = [item[-1] if isinstance(item, list) and item else item for item in data]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name is not a text")
    return names


def _is_class_indices(data: dict[str, Any]) -> bool:
    """Whether an object has the numbers behind the names; {"0": "7"} has the name behind it."""
    if all(type(value) is int for value in data.values()):
        return True
    texts = all(isinstance(value, str) and value.isdecimal() for value in data.values())
    return texts and not all(key.isdecimal() for key in data)


def _by_value(data: dict[str, Any]) -> list[str]:
    names = _by_number((int(number), name) for name, number in data.items())
    if names is None:
        raise ValueError(f"its numbers are not those from 0 to {len(data) - 1}")
    return names


def _by_key(data: dict[str, Any]) -> list[Any]:
    if sorted(data) != sorted(map(str, range(len(data)))):
        raise ValueError(f"the keys are not the numbers from 0 to {len(data) - 1}")
    return [data[str(index)] for index in range(len(data))]
