"""create_app(settings): the application; models are loaded when it starts, not when it is made."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.http import error_responses
from app.http.middleware import FrontDoor
from app.http.routes import health, inference_protocol, metrics, models, page, predict
from app.http.routes.state import State
from app.service import background
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings

DESCRIPTION = (
    "Classifies images with MobileNetV1 and MobileNetV2 on the machine next to the camera. "
    "Errors are RFC 9457 problems with a stable `type`."
)


TURN_S = 2.0  # of the loops that look at how much work there is


class Application(FastAPI):
    """FastAPI with the front door before it."""

    def __init__(self, settings: Settings, **described: Any) -> None:
        super().__init__(**described)
        self._entrance: ASGIApp = FrontDoor(super().__call__)
        if settings.cors_origins:  # outermost: browsers send no key with their preflight requests
            self._entrance = CORSMiddleware(
                self._entrance,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "Retry-After"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._entrance(scope, receive, send)


def create_app(settings: Settings, gateway: Gateway | None = None) -> FastAPI:
    """The service over `gateway`, or over one that is opened from `settings` at start."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        opened = gateway or open_gateway(settings)
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
        redirect_slashes=False,  # a path that is nearly right is as unknown as any other
    )
    error_responses.install(app, "/docs" if settings.page else "/openapi.json")
    for resource in (predict, models, inference_protocol, health, metrics):
        app.include_router(resource.router)
    if settings.page:
        app.include_router(page.router)
    return app


def loops(settings: Settings, gateway: Gateway) -> Iterator[Coroutine[Any, Any, None]]:
    """What runs beside the application from its start to its end."""
    yield background.watch(gateway.chooser, settings.deadline_ms, TURN_S)
    yield background.tidy(gateway.lifecycle, gateway.scheduler, gateway.store.rest, TURN_S)
    if settings.reload_poll_s:
        yield background.poll(gateway.store, gateway.roster, settings.reload_poll_s)
    if settings.measure_s:
        yield background.keep_measured(gateway.measurer, gateway.roster.changed, settings.measure_s)


def grpc_port(settings: Settings, gateway: Gateway) -> AbstractAsyncContextManager[object]:
    """What answers gRPC while the application runs, if it is asked for."""
    if settings.grpc_port is None:
        return nullcontext()
    from app.oip.grpc_server import serving_grpc  # of an optional extra

    return serving_grpc(settings, gateway, settings.grpc_port)
