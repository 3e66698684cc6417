"""The query string of a request, read into a record."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams

from app.errors import BadQuery

Query = TypeVar("Query", bound=BaseModel)


@lru_cache(256)  # most clients ask for the same all day
def parse_query(model: type[Query], query_string: bytes) -> Query:
    """The query parameters of a request as a record, which is frozen and shared.

    Raises:
        BadQuery: one is unknown, out of range or given twice.
    """
    given = QueryParams(query_string).multi_items()
    values = dict(given)
    if len(values) != len(given):
        names = [name for name, _ in given]
        repeated = sorted(name for name in values if names.count(name) > 1)
        raise BadQuery(f"{', '.join(repeated)}: given more than once")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadQuery(describe(error.errors(), 0)) from None


def describe(faults: Sequence[Any], skip: int = 1) -> str:
    """Name each parameter, without the first `skip` parts of its path, and what is wrong."""
    parts = []
    for fault in faults:
        name = ".".join(str(part) for part in fault["loc"][skip:]) or "request"
        if fault["type"] == "extra_forbidden":
            parts.append(f"{name}: there is no such parameter")
        else:
            parts.append(f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}")
    return "; ".join(parts)
