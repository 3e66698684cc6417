"""Errors as problem documents in JSON (RFC 9457)."""

from pydantic import Field

from app.errors import RequestError
from app.wire import Wire

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mobilenet-gateway:"


class Problem(Wire):
    """An error and the way out of it (RFC 9457)."""

    type: str = Field(description="Stable identifier of the kind of problem, as a URI.")
    title: str = Field(description="Name of the kind of problem.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What was wrong with this request and how to correct it.")


def to_problem(error: RequestError) -> Problem:
    return Problem(
        type=TYPE_PREFIX + error.type,
        title=error.title,
        status=error.status,
        detail=error.detail,
    )
