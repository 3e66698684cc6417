"""JSON of clients, counted before it is parsed.

A parser holds up everybody else. Each value costs it 0.1 us, each list 2 us and hundreds of bytes,
and each fault that pydantic finds a kilobyte.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import BadRequest

Parsed = TypeVar("Parsed", bound=BaseModel)
MAX_PLACE_CHARS = 100  # of where a fault is, which the client has named


class JsonLimits(NamedTuple):
    """How much structure a text may have."""

    commas: int
    lists: int
    objects: int
    colons: int  # one for each member of an object, apart from data: URLs


# An object with few members, none of which is nested deeply enough for a parser that recurses.
SHORT = JsonLimits(commas=100, lists=100, objects=100, colons=100)


def excess(text: bytes, limits: JsonLimits, end: int | None = None) -> str | None:
    """Say what of the text up to `end` is beyond its limits, None if nothing is."""
    if text.count(b",", 0, end) > limits.commas:
        return f"more than {limits.commas} commas"
    if text.count(b"[", 0, end) > limits.lists:
        return f"more than {limits.lists} lists"
    if text.count(b"{", 0, end) > limits.objects:
        return f"more than {limits.objects} objects"
    if text.count(b":", 0, end) - text.count(b"data:", 0, end) > limits.colons:
        return f"more than {limits.colons} keys"
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
    if found := excess(text, SHORT):
        raise BadRequest(f"The JSON has {found}.")
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    return parsed if isinstance(parsed, dict) else None
