"""What the metadata of a `.tflite` file says: names of the classes, and how pixels are scaled.

Tools such as Model Maker append a zip with a file of class names to the model, and keep a second
flatbuffer (`M001`, metadata_schema.fbs of tflite-support) in one of its buffers:

    ModelMetadata      3 subgraph_metadata
    SubGraphMetadata   2 input_tensor_metadata, 3 output_tensor_metadata
    TensorMetadata     4 process_units, 6 associated_files
    ProcessUnit        0 type of the options (1: normalization), 1 options
    Normalization      0 mean, 1 std: (pixel - mean) / std
    AssociatedFile     0 name, 2 type (2: labels along an axis)
"""

import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import tflite
from flatbuffers import number_types
from flatbuffers.table import Table

from models.checkpoints.stored_zip import DAMAGED

NAME, IDENTIFIER = b"TFLITE_METADATA", b"M001"
NORMALIZATION, AXIS_LABELS = 1, 2
MAX_ITEMS = 100  # of any list
MAX_BYTES = 10_000_000
LABELS = re.compile(r"label[^/]*\.txt$", re.IGNORECASE)
Floats = tuple[float, ...] | None
UNREADABLE = (struct.error, ValueError, TypeError, IndexError, KeyError, OverflowError)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Mean and standard deviation in pixels, one number or one a channel, and a file of the names.

    Each is None where the file does not have it.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels_name: str | None = None
    labels: bytes | None = None


def read_metadata(path: Path) -> Metadata:
    """Read what is said of the input and of the scores; nothing, where it cannot be read."""
    try:
        root = _root(path.read_bytes())
        mean, std, name = _described(root) if root is not None else (None, None, None)
    except UNREADABLE:
        mean = std = name = None
    return Metadata(mean, std, *_labels(path, name))


def _root(content: bytes) -> Table | None:
    model = tflite.Model.GetRootAs(content, 0)
    for index in range(min(model.MetadataLength(), MAX_ITEMS)):
        record = model.Metadata(index)
        if record.Name() == NAME and 0 <= record.Buffer() < model.BuffersLength():
            buffer = model.Buffers(record.Buffer())
            stored = buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b""
            if stored[4:8] == IDENTIFIER:
                return Table(stored, int.from_bytes(stored[:4], "little"))
    return None


def _described(root: Table) -> tuple[Floats, Floats, str | None]:
    mean = std = name = None
    for subgraph in _tables(root, 3)[:1]:
        for unit in (unit for image in _tables(subgraph, 2) for unit in _tables(image, 4)):
            if _byte(unit, 0) == NORMALIZATION and (at := _at(unit, 1)) is not None:
                options = Table(unit.Bytes, unit.Indirect(at))
                mean, std = _floats(options, 0), _floats(options, 1)
        for file in (file for scores in _tables(subgraph, 3) for file in _tables(scores, 6)):
            at = _at(file, 0)
            if name is None and _byte(file, 2) == AXIS_LABELS and at is not None:
                name = file.String(at).decode()
    return mean, std, name


def _at(table: Table, slot: int) -> int | None:
    """Where a field is; None if it is absent."""
    offset: int = table.Offset(4 + 2 * slot)
    return table.Pos + offset if offset else None


def _byte(table: Table, slot: int) -> int:
    at = _at(table, slot)
    return 0 if at is None else int(table.Get(number_types.Uint8Flags, at))


def _vector(table: Table, slot: int) -> tuple[int, int]:
    """Where a vector starts, and how many of its items are read."""
    offset = table.Offset(4 + 2 * slot)
    return (table.Vector(offset), min(table.VectorLen(offset), MAX_ITEMS)) if offset else (0, 0)


def _tables(table: Table, slot: int) -> list[Table]:
    start, count = _vector(table, slot)
    return [Table(table.Bytes, table.Indirect(start + 4 * at)) for at in range(count)]


def _floats(table: Table, slot: int) -> Floats:
    start, count = _vector(table, slot)
    read = (table.Get(number_types.Float32Flags, start + 4 * at) for at in range(count))
    return tuple(map(float, read)) or None


def _labels(path: Path, name: str | None) -> tuple[str | None, bytes | None]:
    """Name and content of the file of class names in the zip behind the model."""
    if not zipfile.is_zipfile(path):
        return None, None
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.namelist()[:MAX_ITEMS]
            if name not in entries:
                found = [each for each in entries if LABELS.search(each)]
                if len(found) != 1:
                    return None, None
                [name] = found
            with archive.open(name) as file:
                content = file.read(MAX_BYTES + 1)
    except (*DAMAGED, zlib.error, KeyError):
        return None, None
    return (name, content) if len(content) <= MAX_BYTES else (None, None)
