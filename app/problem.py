"""Errors on the wire: RFC 9457 problem+json, one shape for all of them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from app import examples
from app.errors import (
    MISTAKE,
    BadQuery,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mobilenet-gateway:"
OIP = "/v2"  # the Open Inference Protocol has a shape of its own for errors
Query = TypeVar("Query", bound=BaseModel)


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


class ErrorResponse(BaseModel):
    """What was wrong, as the Open Inference Protocol says it."""

    error: str


def respond(error: RequestError, path: str = "") -> Response:
    """The response for an error: a problem, or what the protocol spoken at `path` has for it."""
    if _speaks_oip(path):
        text, media_type = to_json(ErrorResponse(error=error.detail)), "application/json"
        return Response(text, error.status, error.headers, media_type)
    return _respond(to_problem(error), tuple(error.headers.items()))


@lru_cache(64)  # under a flood, the same refusal again and again
def _respond(problem: Problem, headers: tuple[tuple[str, str], ...]) -> Response:
    return Response(problem.model_dump_json(), problem.status, dict(headers), MEDIA_TYPE)


def install(app: FastAPI, reference: str = "/docs") -> None:
    """Make every error of the application leave as a problem.

    `reference` is the path that tells what there is, for those who asked for what there is not.
    """

    async def on_request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)  # noqa: S101  registered for this class only
        return respond(error, request.scope["path"])

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  as above
        return respond(BadQuery(describe(error.errors())), request.scope["path"])

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  as above
        path = request.scope["path"]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refused = MethodNotAllowed(f"{path} does not take {request.method}")
            methods = (error.headers or {}).get("Allow", "")  # RFC 9110 asks for it
            refused.headers["Allow"] = methods.replace("GET", "GET, HEAD")
            return respond(refused, path)
        if error.status_code == HTTPStatus.NOT_FOUND:
            return respond(NotFound(f"there is nothing at {path}; see {reference}"), path)
        other = RequestError(str(error.detail))
        other.status = error.status_code
        return respond(other, path)

    async def on_mistake(request: Request, _: Exception) -> Response:
        return respond(InternalError(MISTAKE), request.scope["path"])  # the front door logs it

    app.add_exception_handler(RequestError, on_request_error)
    app.add_exception_handler(Exception, on_mistake)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


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


def documented(
    *kinds: type[RequestError], path: str = "", details: Mapping[str, str] = examples.DETAILS
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these kinds of errors at `path`, by status, each with an example."""
    by_status: dict[int | str, list[RequestError]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind(details[kind.type]))
    return {status: _documented(errors, path) for status, errors in by_status.items()}


def _documented(errors: Sequence[RequestError], path: str) -> dict[str, Any]:
    answers = {
        error.type: {"value": from_json(bytes(respond(error, path).body))} for error in errors
    }
    description = " or ".join(error.title for error in errors)
    if _speaks_oip(path):
        content: dict[str, Any] = {"application/json": {"examples": answers}}
        return {"model": ErrorResponse, "description": description, "content": content}
    schema = {"$ref": "#/components/schemas/Problem"}  # as a model it would be application/json
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": schema, "examples": answers}},
    }


def _speaks_oip(path: str) -> bool:
    return path == OIP or path.startswith(f"{OIP}/")
