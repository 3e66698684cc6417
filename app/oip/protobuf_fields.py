"""The fields of a message of Protocol Buffers, counted before it is parsed.

An empty field takes two bytes in a message, and hundreds in memory.
"""

from typing import Any

from google.protobuf.message import Message

from app.errors import BadRequest

MAX_FIELDS = 5000  # at all depths; a valid request has about 100
MAX_VARINT_BYTES = 10
VARINT, FIXED_64, LENGTH, START_GROUP, END_GROUP, FIXED_32 = range(6)  # wire types
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4, START_GROUP: 0, END_GROUP: 0}


def check_fields(body: bytes, kind: type[Message]) -> None:
    """Check that a message of this kind has few fields.

    Raises:
        BadRequest: it has more than allowed, or is not a message.
    """
    count = 0
    parts: list[tuple[int, int, Any]] = [(0, len(body), kind.DESCRIPTOR)]  # start, end, kind
    while parts:
        at, end, of_kind = parts.pop()
        while at < end:
            count += 1
            if count > MAX_FIELDS:
                raise BadRequest(f"The message has more than {MAX_FIELDS} fields.")
            key, at = _varint(body, at, end, kind)
            number, wire_type = key >> 3, key & 7
            if wire_type == VARINT:
                _, at = _varint(body, at, end, kind)
            elif wire_type in FIXED_BYTES:
                at += FIXED_BYTES[wire_type]
            elif wire_type == LENGTH:
                size, at = _varint(body, at, end, kind)
                field = of_kind.fields_by_number.get(number)
                if field is not None and field.message_type is not None:
                    parts.append((at, at + size, field.message_type))
                at += size
            else:
                raise _no_message(kind)
        if at != end:
            raise _no_message(kind)


def _varint(body: bytes, at: int, end: int, kind: type[Message]) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
        if at >= end:
            break
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _no_message(kind)


def _no_message(kind: type[Message]) -> BadRequest:
    return BadRequest(f"The message is not a {kind.__name__}.")
