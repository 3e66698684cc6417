"""The response to each error, in the form of the protocol that is spoken at its path."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from app.errors import BadQuery, InternalError, MethodNotAllowed, NotFound, RequestError
from app.http.middleware import error_response
from app.oip.schemas import ErrorResponse
from app.paths import speaks_oip
from app.problem import MEDIA_TYPE
from app.request import examples
from app.request.query_string import describe

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def install(app: FastAPI, reference: str = "/docs") -> None:
    """Make the application answer every error with a response of this module.

    `reference` is the path of the API reference, which the answer to an unknown path names.
    """

    @app.exception_handler(RequestError)
    async def on_request_error(request: Request, error: RequestError) -> Response:
        return error_response(error, request.scope["path"])

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(BadQuery(describe(error.errors())), request.scope["path"])

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return error_response(_not_allowed(app, request), path)
        if error.status_code == HTTPStatus.NOT_FOUND:
            return error_response(NotFound(f"Nothing at {path}. See {reference}."), path)
        other = RequestError(str(error.detail))
        other.status = error.status_code
        return error_response(other, path)

    @app.exception_handler(Exception)  # the middleware logs it
    async def on_unexpected(request: Request, _: Exception) -> Response:
        return error_response(InternalError(), request.scope["path"])


def _not_allowed(app: FastAPI, request: Request) -> MethodNotAllowed:
    """Name all methods of the path; the framework names those of one route only."""
    methods = [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in app.routes
        )
    ]
    error = MethodNotAllowed(
        f"{request.scope['path']} does not support {request.method}. Use {' or '.join(methods)}."
    )
    allowed = ", ".join(methods).replace("GET", "GET, HEAD")
    error.headers["Allow"] = allowed  # RFC 9110, section 15.5.6
    return error


def documented(
    *kinds: type[RequestError], path: str = "", details: Mapping[str, str] = examples.DETAILS
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these kinds of errors at `path`, by status, each with an example."""
    by_status: dict[int | str, list[RequestError]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind(details[kind.type]))
    return {status: _documented(errors, path) for status, errors in by_status.items()}


def _documented(errors: Sequence[RequestError], path: str) -> dict[str, Any]:
    answers = {
        error.type: {"value": from_json(bytes(error_response(error, path).body))}
        for error in errors
    }
    description = " or ".join(error.title for error in errors)
    if speaks_oip(path):
        content: dict[str, Any] = {"application/json": {"examples": answers}}
        return {"model": ErrorResponse, "description": description, "content": content}
    schema = {"$ref": "#/components/schemas/Problem"}  # as a model it would be application/json
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": schema, "examples": answers}},
    }
