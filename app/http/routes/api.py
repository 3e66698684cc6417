"""All routes but plain predictions and probes: FastAPI, with its description of them."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic.json_schema import models_json_schema

from app import __version__
from app.http import error_responses
from app.http.routes import cameras, captures, heads, health, metrics, models, oip, page, predict
from app.oip.schemas import InferenceRequest
from app.settings import Settings
from app.training.taught_heads import LazyHeads

DESCRIPTION = (
    "Classifies images with MobileNetV1 and MobileNetV2 on the machine next to the camera. "
    "Errors are RFC 9457 problems with a stable `type`."
)


class Api(FastAPI):
    """FastAPI with a complete description."""

    def openapi(self) -> dict[str, Any]:
        """Add the schemas that only a request body refers to, which FastAPI does not find."""
        document = super().openapi()
        _, schemas = models_json_schema(
            [(InferenceRequest, "validation")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        return document


def make_api(settings: Settings) -> FastAPI:
    """Make the routes; they find the gateway in the state of the request."""
    api = Api(
        title="mobilenet-gateway",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's pages need a CDN; app/http/static works offline
        redoc_url=None,
        openapi_url=None,  # FastAPI would encode the document again for every request
        redirect_slashes=False,  # a path with an extra slash is unknown, like any other
    )
    api.add_api_route("/openapi.json", encoded_once(api), include_in_schema=False)
    api.state.heads = LazyHeads()
    error_responses.install(api, "/docs" if settings.page else "/openapi.json")
    for resource in (predict, models, heads, captures, cameras, oip, health, metrics):
        api.include_router(resource.router)
    if settings.page:
        api.include_router(page.router)
    _finish(api)
    return api


def _finish(api: FastAPI) -> None:
    """Let FastAPI make the included routes, which it does when it first compares a path with them.

    That takes a tenth of a second, in which the event loop would answer nothing.
    """
    scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []}
    for route in api.routes:
        route.matches(scope)


def encoded_once(api: FastAPI) -> Callable[[], Response]:
    """A route for the OpenAPI document, which is made by the first request.

    That takes 0.2 s, so it is done by a thread, as for all routes that are no coroutines.
    """
    lock = Lock()

    @cache
    def document() -> bytes:
        return bytes(JSONResponse(api.openapi()).body)

    def openapi() -> Response:
        with lock:
            return Response(document(), media_type=JSONResponse.media_type)

    return openapi
