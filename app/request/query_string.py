"""The query string of a request, parsed into a record."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams

from app.errors import BadQuery
from app.suggestion import did_you_mean

MAX_HINTS = 3  # each takes the event loop as long as ten rejections

Query = TypeVar("Query", bound=BaseModel)


class NoQuery(BaseModel, extra="forbid"):
    """The query of a resource without parameters: any parameter is an error."""


@lru_cache(256)  # most clients send the same query all day
def parse_query(model: type[Query], query_string: bytes) -> Query:
    """Parse the query parameters of a request; equal queries share one frozen record.

    Raises:
        BadQuery: a parameter is unknown, out of range or given twice.
    """
    given = QueryParams(query_string).multi_items()
    values = dict(given)
    if len(values) != len(given):
        names = [name for name, _ in given]
        repeated = sorted(name for name in values if names.count(name) > 1)
        raise BadQuery(f"{', '.join(repeated)}: given more than once.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadQuery(describe(error.errors(), 0, tuple(model.model_fields))) from None


def describe(faults: Sequence[Any], skip: int = 1, known: Sequence[str] = ()) -> str:
    """Name each parameter, without the first `skip` parts of its path, and what is wrong.

    For an unknown one, suggest the nearest of the `known` parameters.
    """
    parts: list[str] = []
    for fault in faults:
        name = ".".join(str(part) for part in fault["loc"][skip:]) or "request"
        if fault["type"] == "extra_forbidden":
            hint = did_you_mean(name, known) if len(parts) < MAX_HINTS else ""
            parts.append(f"{name}: unknown parameter{', ' if hint else ''}{hint}")
        else:
            parts.append(f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}")
    return "; ".join(parts)
