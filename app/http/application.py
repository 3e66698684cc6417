"""The application: what ASGI requests pass, and what lives from start-up to shutdown.

FastAPI, its schemas and all routes take longer to import than the rest of the service, so that is
done when the service is idle, or by the first request that needs them. Plain predictions never get
here, and probes are answered here.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypedDict

from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Stopping
from app.http import assets
from app.http.middleware import RequestMiddleware
from app.service import background
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.cameras.camera_service import CameraService

ALIVE, READY = "/healthz", "/readyz"
CHECK_S = 2.0  # interval of the background loops that check the load
SHORT_SWITCH_S = 0.0005  # for which the event loop waits for Python's lock while routes are made


class State(TypedDict):
    """State that the lifespan yields and every request has."""

    gateway: Gateway
    cameras: "CameraService | None"


class Application:
    """An ASGI application for `gateway` and `cameras`; without it opens its own at start-up."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway | None = None,
        cameras: "CameraService | None" = None,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._cameras = cameras
        self._lifespan = Router(lifespan=self._live)
        self._loading = Lock()
        self._outermost: ASGIApp = RequestMiddleware(self._answer)
        if settings.cors_origins:  # browsers send no key with preflight requests
            from starlette.middleware.cors import CORSMiddleware

            self._outermost = CORSMiddleware(
                self._outermost,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-ID", "Retry-After"],
            )

    @cached_property
    def api(self) -> "FastAPI":
        """The routes. Making them takes some tenths of a second, once."""
        from app.http.routes.api import make_api

        return make_api(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._lifespan if scope["type"] == "lifespan" else self._outermost
        await app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "api" not in vars(self):
            if _is_probe(scope):
                await _probe(scope, receive, send)
                return
            await asyncio.to_thread(self._load)
        await self.api(scope, receive, send)

    def _load(self) -> None:
        with self._loading:
            usual_s = sys.getswitchinterval()
            sys.setswitchinterval(SHORT_SWITCH_S)
            try:
                _ = self.api
            finally:
                sys.setswitchinterval(usual_s)

    @asynccontextmanager
    async def _live(self, _: Any) -> AsyncIterator[State]:
        opened = self._gateway or open_gateway(self._settings)
        cameras = self._cameras or open_cameras(opened)
        if self._settings.page:  # the page asks for the key, so it must load without one
            opened.keys.exempt(assets.paths())
        routes = background.load_when_idle(self._load, opened.lifecycle, opened.scheduler, CHECK_S)
        tasks = [asyncio.create_task(loop) for loop in (routes, *loops(self._settings, opened))]
        try:
            async with grpc_port(self._settings, opened):
                if cameras:
                    cameras.start()
                yield {"gateway": opened, "cameras": cameras}
        finally:
            for task in tasks:
                task.cancel()
            if cameras:
                await cameras.stop()
            if "api" in vars(self):
                self.api.state.heads.close()
            opened.close()


def _is_probe(scope: Scope) -> bool:
    """Whether it is a plain probe, which `app.http.routes.health` would answer in the same way."""
    plain = scope["method"] == "GET" and not scope["query_string"]
    return plain and scope["path"] in (ALIVE, READY)


async def _probe(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    scope["state"]["record"].route = path
    if path == READY and scope["state"]["gateway"].lifecycle.stopping:
        raise Stopping("The service is shutting down; retry on another instance.")
    status = b"ok" if path == ALIVE else b"ready"
    answer = Response(b'{"status":"%s"}' % status, media_type="application/json")
    await answer(scope, receive, send)


def loops(settings: Settings, gateway: Gateway) -> Iterator[Coroutine[Any, Any, None]]:
    """The background loops that run from start-up to shutdown."""
    yield background.end_brownout(gateway.chooser, settings.deadline_ms, CHECK_S)
    yield background.release_memory(
        gateway.lifecycle, gateway.scheduler, gateway.store.release_memory, CHECK_S
    )
    yield background.keep_wide_session(gateway.wide_session, CHECK_S)
    if settings.reload_poll_s:
        yield background.poll_store(gateway.store, gateway.reloader, settings.reload_poll_s)
    if settings.measure_s:
        yield background.measure_new_models(
            gateway.measurer, gateway.reloader.changed, settings.measure_s
        )


def open_cameras(gateway: Gateway) -> "CameraService | None":
    """The cameras of the settings and all that listens to them, if there are any.

    Raises:
        SettingError: their settings are not valid, or need what is not installed.
    """
    if not gateway.settings.tables:
        return None
    from app.cameras.camera_service import open_camera_service  # not loaded where there are none

    return open_camera_service(gateway)


def grpc_port(settings: Settings, gateway: Gateway) -> AbstractAsyncContextManager[object]:
    """Serve gRPC while the context is open, if `grpc_port` is set."""
    if settings.grpc_port is None:
        return nullcontext()
    from app.oip.grpc_server import serving_grpc  # needs an optional extra

    return serving_grpc(settings, gateway, settings.grpc_port)
