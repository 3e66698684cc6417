"""The response to each error, in the words of the protocol spoken at its path."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException

from app.errors import (
    MISTAKE,
    BadQuery,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestError,
)
from app.oip.schemas import ErrorResponse
from app.problem import MEDIA_TYPE, Problem, to_problem
from app.request import examples
from app.request.query_string import describe

OIP = "/v2"  # the Open Inference Protocol has a shape of its own for errors


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
