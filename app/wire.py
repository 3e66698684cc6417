"""The base of every JSON record that the service sends, and the headers that it receives."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

Headers = Iterable[tuple[bytes, bytes]]  # names in lower case, as ASGI has them


class Wire(BaseModel, frozen=True):
    """A frozen record. Field names have units; later versions only add fields."""


def with_example(example: Any) -> dict[str, Any]:
    """`json_schema_extra` of a record that makes OpenAPI show this example."""
    return {"examples": [example]}
