"""The application: its routes, its middleware and its background tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic.json_schema import models_json_schema
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.http import assets, error_responses
from app.http.middleware import RequestMiddleware
from app.http.routes import health, metrics, models, oip, page, predict
from app.http.routes.state import State
from app.oip.schemas import InferenceRequest
from app.service import background
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings

DESCRIPTION = (
    "Classifies images with MobileNetV1 and MobileNetV2 on the machine next to the camera. "
    "Errors are RFC 9457 problems with a stable `type`."
)
CHECK_S = 2.0  # interval of the background loops that check the load


class Application(FastAPI):
    """FastAPI behind the middleware of this service."""

    def __init__(self, settings: Settings, **metadata: Any) -> None:
        super().__init__(**metadata)
        self._outermost: ASGIApp = RequestMiddleware(super().__call__)
        if settings.cors_origins:  # browsers send no key with preflight requests
            self._outermost = CORSMiddleware(
                self._outermost,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "Retry-After"],
            )

    def openapi(self) -> dict[str, Any]:
        """Add the schemas that only a request body refers to, which FastAPI does not find."""
        document = super().openapi()
        _, schemas = models_json_schema(
            [(InferenceRequest, "validation")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        return document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._outermost(scope, receive, send)


def create_app(settings: Settings, gateway: Gateway | None = None) -> FastAPI:
    """Make the application for `gateway`; without one it opens its own at start-up."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        opened = gateway or open_gateway(settings)
        if settings.page:  # the page asks for the key, so it must load without one
            opened.keys.exempt(assets.paths())
        tasks = [asyncio.create_task(loop) for loop in loops(settings, opened)]
        try:
            async with grpc_port(settings, opened):
                yield {"gateway": opened}
        finally:
            for task in tasks:
                task.cancel()
            opened.close()

    app = Application(
        settings,
        title="mobilenet-gateway",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages need a CDN; app/http/static works offline
        redoc_url=None,
        openapi_url=None,  # FastAPI would encode the document again for every request
        redirect_slashes=False,  # a path with an extra slash is unknown, like any other
    )
    app.add_api_route("/openapi.json", encoded_once(app), include_in_schema=False)
    error_responses.install(app, "/docs" if settings.page else "/openapi.json")
    for resource in (predict, models, oip, health, metrics):
        app.include_router(resource.router)
    if settings.page:
        app.include_router(page.router)
    return app


def encoded_once(app: Application) -> Callable[[], Response]:
    """A route for the OpenAPI document, which is made by the first request.

    That takes 0.2 s, so it is done by a thread, as for all routes that are no coroutines.
    """
    lock = Lock()

    @cache
    def document() -> bytes:
        return bytes(JSONResponse(app.openapi()).body)

    def openapi() -> Response:
        with lock:
            return Response(document(), media_type=JSONResponse.media_type)

    return openapi


def loops(settings: Settings, gateway: Gateway) -> Iterator[Coroutine[Any, Any, None]]:
    """The background loops that run from start-up to shutdown."""
    yield background.end_brownout(gateway.chooser, settings.deadline_ms, CHECK_S)
    yield background.release_memory(
        gateway.lifecycle, gateway.scheduler, gateway.store.release_memory, CHECK_S
    )
    if settings.reload_poll_s:
        yield background.poll_store(gateway.store, gateway.reloader, settings.reload_poll_s)
    if settings.measure_s:
        yield background.measure_new_models(
            gateway.measurer, gateway.reloader.changed, settings.measure_s
        )


def grpc_port(settings: Settings, gateway: Gateway) -> AbstractAsyncContextManager[object]:
    """Serve gRPC while the context is open, if `grpc_port` is set."""
    if settings.grpc_port is None:
        return nullcontext()
    from app.oip.grpc_server import serving_grpc  # needs an optional extra

    return serving_grpc(settings, gateway, settings.grpc_port)
