"""Messages of Protocol Buffers as lists of fields, to change a few of them without a schema."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5  # wire types
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}


class Field(NamedTuple):
    """The value of a varint is a number, all others are bytes."""

    number: int
    wire_type: int
    value: int | bytes

    @property
    def content(self) -> bytes:
        """Raises ValueError if the value is a number."""
        if isinstance(self.value, int):
            raise ValueError(f"field {self.number} is a number")
        return self.value


class Message(tuple[Field, ...]):
    """The fields of a message in their order."""

    __slots__ = ()

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        """Raises ValueError if the bytes are no message."""
        return cls(_fields(data))

    def all(self, number: int) -> list[bytes]:
        return [field.content for field in self if field.number == number]

    def texts(self, number: int) -> list[str]:
        return [value.decode() for value in self.all(number)]

    def numbers(self, number: int) -> list[int]:
        """Varints, packed or one a field; those of negative numbers are beyond 2**63."""
        found: list[int] = []
        for field in self:
            if field.number == number and isinstance(field.value, int):
                found.append(field.value)
            elif field.number == number:
                at = 0
                while at < len(field.content):
                    value, at = _varint(field.content, at)
                    found.append(value)
        return found

    def value(self, number: int) -> int | bytes | None:
        return next((field.value for field in self if field.number == number), None)

    def replaced(self, values: Mapping[int, int | bytes]) -> "Message":
        """The message with other values in the fields of these numbers."""
        return Message(
            field._replace(value=values.get(field.number, field.value)) for field in self
        )

    def serialized(self) -> bytes:
        return b"".join(map(_serialized, self))


def message(parts: Iterable[tuple[int, str | bytes]]) -> bytes:
    """A message of texts and messages by number."""
    values = ((number, part.encode() if isinstance(part, str) else part) for number, part in parts)
    return Message(Field(number, LENGTH, value) for number, value in values).serialized()


def _fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at)
            yield Field(number, wire_type, value)
            continue
        if wire_type == LENGTH:
            size, at = _varint(data, at)
        elif wire_type in FIXED_BYTES:
            size = FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"byte {at} starts no field")
        if at + size > len(data):
            raise ValueError(f"the field at byte {at} is cut off")
        yield Field(number, wire_type, data[at : at + size])
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it ends in the middle of a number")


def _serialized(field: Field) -> bytes:
    key = _serialized_varint(field.number << 3 | field.wire_type)
    if isinstance(field.value, int):
        return key + _serialized_varint(field.value)
    size = _serialized_varint(len(field.value)) if field.wire_type == LENGTH else b""
    return key + size + field.value


def _serialized_varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
