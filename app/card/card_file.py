"""The card and the outputs of a model file, read without the weights.

An ONNX file is a message of Protocol Buffers: fields of a key (number and wire type) and a value.
Only the few fields below are read; the others, among them the weights, are skipped with a seek.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.card.card import ModelCard, card_in
from app.errors import CardError, ModelFileError

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5  # wire types
MAX_TEXT_BYTES = 2**24  # of a field that is read; a card has about 100 KB
# Numbers of the fields in onnx.proto.
GRAPH, METADATA = 7, 14  # of ModelProto
GRAPH_INPUT, GRAPH_OUTPUT = 11, 12  # of GraphProto, each a ValueInfoProto
ENTRY_KEY, ENTRY_VALUE = 1, 2  # of StringStringEntryProto
VALUE_NAME, VALUE_TYPE = 1, 2  # of ValueInfoProto
TENSOR_TYPE = 1  # of TypeProto
SHAPE = 2  # of TypeProto.Tensor
DIMENSION = 1  # of TensorShapeProto
DIMENSION_VALUE = 1  # of Dimension; a named dimension has another field instead

Shapes = dict[str, tuple[int | None, ...]]  # None is a free dimension


@dataclass(frozen=True, slots=True)
class CardFile:
    """What a model file says about itself."""

    card: ModelCard
    inputs: Shapes
    outputs: Shapes


def read_card_file(path: Path) -> CardFile:
    """Read what a model file says about itself; takes some milliseconds.

    Raises:
        ModelFileError: the file cannot be read, is not ONNX or has no valid card.
    """
    inputs: Shapes = {}
    outputs: Shapes = {}
    metadata: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for number, size in _fields(file, path.stat().st_size):
                if number == METADATA:
                    entry = _texts(file, size)
                    metadata[entry.get(ENTRY_KEY, "")] = entry.get(ENTRY_VALUE, "")
                elif number == GRAPH:
                    for part, part_size in _fields(file, file.tell() + size):
                        if part in (GRAPH_INPUT, GRAPH_OUTPUT):
                            name, shape = _value_info(file, part_size)
                            (inputs if part == GRAPH_INPUT else outputs)[name] = shape
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelFileError(f"{path}: not an ONNX file: {error}") from error
    try:
        return CardFile(card_in(metadata), inputs, outputs)
    except CardError as error:
        raise CardError(f"{path}: {error}") from error


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and size of each field up to `end` that has a length; skips what is not read.

    Raises:
        ValueError: the file has something else there.
    """
    while (at := file.tell()) < end:
        key = _varint(file)
        number, wire_type = key >> 3, key & 7
        if wire_type == LENGTH:
            size = _varint(file)
            after = file.tell() + size
        elif wire_type == VARINT:
            _varint(file)
            after = file.tell()
        elif wire_type in (FIXED_32, FIXED_64):
            after = file.tell() + (4 if wire_type == FIXED_32 else 8)
        else:
            raise ValueError(f"byte {at} starts no field")
        if after > end:
            raise ValueError(f"the field at byte {at} is cut off")
        if wire_type == LENGTH:
            yield number, size
        file.seek(after)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a field")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is too long")


def _texts(file: BinaryIO, size: int) -> dict[int, str]:
    """The texts of a message by field number."""
    return {number: _text(file, length) for number, length in _fields(file, file.tell() + size)}


def _text(file: BinaryIO, size: int) -> str:
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"a text has {size} bytes")
    return file.read(size).decode("utf-8")


def _value_info(file: BinaryIO, size: int) -> tuple[str, tuple[int | None, ...]]:
    """Name and shape of an input or output."""
    name = ""
    shape: list[int | None] = []
    for number, length in _fields(file, file.tell() + size):
        if number == VALUE_NAME:
            name = _text(file, length)
        elif number == VALUE_TYPE:
            for tensor_type in _parts(file, length, TENSOR_TYPE):
                for shapes in _parts(file, tensor_type, SHAPE):
                    shape += [_dimension(file, one) for one in _parts(file, shapes, DIMENSION)]
    return name, tuple(shape)


def _parts(file: BinaryIO, size: int, wanted: int) -> Iterator[int]:
    """Sizes of the parts with this number of a message of `size` bytes."""
    for number, length in _fields(file, file.tell() + size):
        if number == wanted:
            yield length


def _dimension(file: BinaryIO, size: int) -> int | None:
    if size == 0:
        return None
    end = file.tell() + size
    key = _varint(file)
    value = _varint(file) if key == DIMENSION_VALUE << 3 | VARINT else None
    file.seek(end)
    return value
