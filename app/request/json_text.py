"""JSON of clients, counted before it is parsed.

A parser holds up everybody else. Each number costs it 0.1 us, each list 2 us and hundreds of bytes,
each fault that pydantic finds a kilobyte, and long numbers and texts with escapes several times as
much as short ones.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import BadRequest

Parsed = TypeVar("Parsed", bound=BaseModel)
MAX_PLACE_CHARS = 100  # of where a fault is, which the client has named
# Counting ends in the stride that goes beyond a limit, not at the end of 16 MB.
STRIDE_BYTES = 1 << 20
# A text with many values consists of pixels, "255, " at the most, or is there to keep us busy.
MANY_COMMAS = 1000
MAX_BYTES_PER_COMMA = 10


class JsonLimits(NamedTuple):
    """How much structure a text may have."""

    commas: int
    lists: int
    objects: int
    quotes: int  # two for each text, four for a member of an object whose value is a text


# An object with few members, none of which is nested deeply enough for a parser that recurses.
SHORT = JsonLimits(commas=100, lists=100, objects=100, quotes=400)


class JsonStructure:
    """Counts the structure of a text as its parts arrive, up to `end` bytes if that is given."""

    __slots__ = ("_bytes", "_commas", "_end", "_limits", "_lists", "_objects", "_quotes")

    def __init__(self, limits: JsonLimits, end: int | None = None) -> None:
        self._limits = limits
        self._end = end
        self._bytes = self._commas = self._lists = self._objects = self._quotes = 0

    def add(self, part: bytes) -> None:
        """Count the next part of the text.

        Raises:
            BadRequest: the text is beyond its limits.
        """
        end = len(part) if self._end is None else min(len(part), self._end - self._bytes)
        for start in range(0, end, STRIDE_BYTES):
            stride = (start, min(start + STRIDE_BYTES, end))
            self._bytes += stride[1] - start
            self._commas += part.count(b",", *stride)
            self._lists += part.count(b"[", *stride)
            self._objects += part.count(b"{", *stride)
            self._quotes += part.count(b'"', *stride)
            if found := self._excess():
                raise BadRequest(f"The JSON has {found}.")

    @property
    def values(self) -> int:
        """About how many values the text has."""
        return self._commas

    def _excess(self) -> str | None:
        limits = self._limits
        if self._commas > limits.commas:
            return f"more than {limits.commas} commas"
        if self._lists > limits.lists:
            return f"more than {limits.lists} lists"
        if self._objects > limits.objects:
            return f"more than {limits.objects} objects"
        if self._quotes > limits.quotes:
            return f"more than {limits.quotes} quotation marks"
        many_bytes = self._commas * MAX_BYTES_PER_COMMA + STRIDE_BYTES
        if self._commas > MANY_COMMAS and self._bytes > many_bytes:
            return f"more than {MAX_BYTES_PER_COMMA} bytes for each of {self._commas} values"
        return None


def read_model(kind: type[Parsed], text: bytes) -> Parsed:
    """Parse and validate a text whose structure was counted.

    Raises:
        BadRequest: it is not JSON, or not of that kind.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"]))[:MAX_PLACE_CHARS] or "body"
        raise BadRequest(f"{where}: {fault['msg']}") from None


def read_short(text: bytes) -> Mapping[str, Any] | None:
    """Parse a short text; None if it is not an object.

    Raises:
        BadRequest: it is not JSON, or has more structure than a short one.
    """
    JsonStructure(SHORT).add(text)
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    return parsed if isinstance(parsed, dict) else None
