"""/v2: the Open Inference Protocol over HTTP, for clients of Triton and KServe."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from app import asgi
from app.errors import BadRequest, Stopping
from app.gateway import Current, Gateway
from app.oip import metadata, repository, rest, statistics
from app.oip.inference import HttpInference, find_model
from app.problem import OIP
from app.record import Record


async def _no_query(request: Request) -> None:
    rest.check_query(request.scope["query_string"])


# The protocol has a description of its own; errors here are not problems.
router = APIRouter(prefix=OIP, dependencies=[Depends(_no_query)], include_in_schema=False)
MODEL, VERSION = "/models/{name}", "/models/{name}/versions/{version}"
INFER = re.compile(rf"{OIP}/models/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?/infer")
INFER_ROUTE = f"{OIP}{MODEL}/infer"  # in the metrics


@router.get("")
async def server() -> Response:
    """What serves here, and the extensions it has."""
    return JSONResponse(metadata.server_metadata())


@router.get("/health/live")
async def live() -> Response:
    """The process lives."""
    return JSONResponse({"live": True})


@router.get("/health/ready")
async def ready(gateway: Current) -> Response:
    """All models are loaded and warm, and the service is not being stopped."""
    if gateway.lifecycle.stopping:
        raise Stopping("the service is being stopped")
    return JSONResponse({"ready": True})


@router.get("/models/stats")
async def all_stats(gateway: Current) -> Response:
    """How many images each model has answered, and the time that they took."""
    return JSONResponse(statistics.model_statistics(gateway.current_metrics(), gateway.store))


@router.get(MODEL)
@router.get(VERSION)
async def model(gateway: Current, name: str, version: str = "") -> Response:
    """The tensors of a model."""
    return JSONResponse(metadata.model_metadata(find_model(gateway, name, version)))


@router.get(f"{MODEL}/ready")
@router.get(f"{VERSION}/ready")
async def model_ready(gateway: Current, name: str, version: str = "") -> Response:
    """Whether a model is loaded; a 404 if it is not."""
    return JSONResponse({"name": find_model(gateway, name, version).name, "ready": True})


@router.get(f"{MODEL}/config")
@router.get(f"{VERSION}/config")
async def model_config(gateway: Current, name: str, version: str = "") -> Response:
    """The part of Triton's model configuration that clients ask for."""
    found = find_model(gateway, name, version)
    return JSONResponse(metadata.model_config(found, gateway.settings.max_images))


@router.get(f"{MODEL}/stats")
@router.get(f"{VERSION}/stats")
async def stats(gateway: Current, name: str, version: str = "") -> Response:
    """How many images a model has answered, and the time that they took."""
    found = find_model(gateway, name, version)
    return JSONResponse(statistics.model_statistics(gateway.current_metrics(), [found]))


@router.post(f"{MODEL}/infer")
@router.post(f"{VERSION}/infer")
async def model_infer(name: str, version: str = "") -> Response:
    """Tensors in, tensors out."""
    raise NotImplementedError("routed here; `app.frontdoor` lets `answer` answer it")


async def answer(
    gateway: Gateway, record: Record, asked: re.Match[str], scope: Scope, receive: Receive
) -> Response:
    """Answer an inference, whose path matched INFER, errors of the request included."""
    inference = HttpInference(gateway, record)
    name, version = asked["name"], asked["version"] or ""
    head = partial(inference.open, name, version, scope["query_string"], scope["headers"])
    return await asgi.answer(inference, head, receive)


@router.post("/repository/index")
async def index(request: Request, gateway: Current) -> Response:
    """Every model of the store, loaded or not."""
    asked = await _options(request, "ready")
    ready = asked.get("ready", False)
    if not isinstance(ready, bool):
        raise BadRequest("ready: it is true or false")
    return JSONResponse([asdict(entry) for entry in repository.index(gateway, ready=ready)])


@router.post("/repository/models/{name}/load")
async def load(request: Request, gateway: Current, name: str) -> Response:
    """Load a model of the store, or load it again; needs the admin key."""
    parameters = (await _options(request, "parameters")).get("parameters")
    await repository.load(gateway, request.headers.raw, name, parameters)
    return JSONResponse({})


@router.post("/repository/models/{name}/unload")
async def unload(request: Request, gateway: Current, name: str) -> Response:
    """Stop serving a model; needs the admin key."""
    parameters = (await _options(request, "parameters")).get("parameters")
    await repository.unload(gateway, request.headers.raw, name, parameters)
    return JSONResponse({})


async def _options(request: Request, known: str) -> Mapping[str, Any]:
    """The JSON object of a request that may have none, with at most the `known` key."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_OPTIONS_BYTES:
            raise BadRequest(f"the body is longer than {MAX_OPTIONS_BYTES} bytes")
    try:
        options = json.loads(body or b"{}")
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(options, dict) or options.keys() - {known}:
        raise BadRequest(f"the body is a JSON object with {known!r} or nothing")
    return options


MAX_OPTIONS_BYTES = 64 * 1024
