"""create_app(settings): the application; models are loaded when it starts, not when it is made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import __version__, problem
from app.frontdoor import FrontDoor
from app.gateway import Gateway, State, open_gateway
from app.routes import health, metrics, models, predict
from app.settings import Settings

DESCRIPTION = (
    "Classifies images with MobileNetV1 and MobileNetV2 on the machine next to the camera. "
    "Errors are RFC 9457 problems with a stable `type`."
)


def create_app(settings: Settings, gateway: Gateway | None = None) -> FastAPI:
    """The service over `gateway`, or over one that is opened from `settings` at start."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        opened = gateway or open_gateway(settings)
        tasks = [asyncio.create_task(opened.tidy())]
        if settings.reload_poll_s:
            tasks.append(asyncio.create_task(opened.poll()))
        if settings.measure_s:
            tasks.append(asyncio.create_task(opened.try_measure(settings.measure_s)))
        try:
            yield {"gateway": opened}
        finally:
            for task in tasks:
                task.cancel()
            opened.close()

    app = FastAPI(
        title="mobilenet-gateway",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # a path that is nearly right is as unknown as any other
    )
    problem.install(app)
    app.add_middleware(FrontDoor)
    if settings.cors_origins:  # outermost: browsers send no key with their preflight requests
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    for resource in (predict, models, health, metrics):
        app.include_router(resource.router)
    return app
