"""The base of every JSON record that the service sends, and the headers that it receives."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

Headers = Iterable[tuple[bytes, bytes]]  # names in lower case, as ASGI has them


class Wire(BaseModel):
    """A frozen record. Field names have units; later versions only add fields."""

    model_config = ConfigDict(frozen=True)


def with_example(example: Any) -> ConfigDict:
    """Configuration of a record that makes OpenAPI show this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})
