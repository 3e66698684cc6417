"""Health, readiness and description of the service."""

import platform

import PIL
from fastapi import APIRouter, Request

from app import __version__
from app.errors import BadQuery, Stopping, Unauthorized
from app.http.error_responses import documented
from app.http.routes.state import Current, NoParameters
from app.http.schemas import Health, Info
from app.model import runtime
from app.model.providers import short_names
from app.shown_settings import public_settings

router = APIRouter(tags=["service"], responses=documented(BadQuery))


@router.get("/healthz")
async def healthz(_: NoParameters) -> Health:
    """The process is alive."""
    return Health(status="ok")


@router.get("/readyz", responses=documented(Stopping))
async def readyz(gateway: Current, _: NoParameters) -> Health:
    """The default model is loaded and warmed up, and the service is not shutting down."""
    if gateway.lifecycle.stopping:
        raise Stopping("The service is shutting down; retry on another instance.")
    return Health(status="ready")


@router.get("/info", responses=documented(Unauthorized))
async def info(request: Request, gateway: Current, _: NoParameters) -> Info:
    """Versions, cores in use and all settings."""
    watching = request.state.cameras
    return Info(
        version=__version__,
        onnxruntime=runtime.version(),
        pillow=PIL.__version__,
        python=platform.python_version(),
        providers=short_names(runtime.built_in_providers()),
        cores=gateway.cores.count,
        cores_reason=gateway.cores.reason,
        workers=gateway.scheduler.workers,
        lone_image_threads=gateway.wide_session.threads,
        models=[model.name for model in gateway.store],
        cameras=list(watching.cameras.names) if watching else [],
        runs_on={model.name: model.providers for model in gateway.store if model.state == "loaded"},
        default_model=gateway.default_model,
        default_reason=gateway.default_reason,
        settings=public_settings(gateway.settings),
    )
