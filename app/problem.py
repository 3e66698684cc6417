"""Errors on the wire: RFC 9457 problem+json, one shape for all of them."""

from pydantic import BaseModel, ConfigDict, Field

from app.errors import RequestError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mobilenet-gateway:"


class Problem(BaseModel):
    """What went wrong and what a person can do about it (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Stable name of the kind of problem, as a URI.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What was wrong with this request.")


def to_problem(error: RequestError) -> Problem:
    return Problem(
        type=TYPE_PREFIX + error.type,
        title=error.title,
        status=error.status,
        detail=error.detail,
    )
