"""Class names from the files in which people keep them."""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.importing.checks import Refused

# "0 Flask" of Teachable Machine, "0: Flask", "0,Flask"
NUMBERED = re.compile(r"\s*(\d+)\s*[\s:,;]\s*(\S.*?)\s*")


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names in the order of the classes.

    Read are: a text file with a name a line, perhaps behind its number; a CSV of numbers and names
    in either order; a JSON list; a JSON object by number, or Keras' `class_indices` by name.

    Raises:
        Refused: it cannot be read, or a name is missing.
    """
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".json":
            labels = _from_json(json.loads(text))
        elif path.suffix.lower() == ".csv":
            labels = _from_csv(text)
        else:
            labels = _from_lines(text.rstrip().splitlines())
    except OSError as error:
        raise Refused(f"--labels: {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"--labels: {path} is not a list of names: {error}.") from error
    names = tuple(label.strip() for label in labels)
    if "" in names:
        raise Refused(f"--labels: line {names.index('') + 1} of {path} is empty.")
    return names


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
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if any(row)]
    if all(len(row) == 1 for row in rows):
        return [name for [name] in rows]
    for number, name in ((0, 1), (1, 0)):
        for body in (rows, rows[1:]):  # with a header, or without
            if body and all(len(row) > 1 and row[number].strip().isdigit() for row in body):
                names = _by_number((int(row[number]), row[name]) for row in body)
                if names is not None:
                    return names
    raise ValueError("no column has the numbers from 0 on, with a name beside each")


def _from_json(data: object) -> Sequence[str]:
    """A list, {"0": name, ...}, {"0": [id, name], ...} or {name: 0, ...}."""
    if isinstance(data, dict) and all(type(value) is int for value in data.values()):
        names = _by_number((number, name) for name, number in data.items())
        if names is None:
            raise ValueError(f"its numbers are not those from 0 to {len(data) - 1}")
        return names
    if isinstance(data, dict):
        if sorted(data) != sorted(map(str, range(len(data)))):
            raise ValueError(f"the keys are not the numbers from 0 to {len(data) - 1}")
        data = [data[str(index)] for index in range(len(data))]
    if not isinstance(data, list):
        raise ValueError("neither a list nor an object")
    names = [item[-1] if isinstance(item, list) and item else item for item in data]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name is not a text")
    return names
