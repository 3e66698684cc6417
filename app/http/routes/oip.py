"""/v2: the Open Inference Protocol over HTTP, for clients of Triton and KServe."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from app.errors import (
    CLASSIFICATION_ERRORS,
    BadQuery,
    BadRequest,
    Forbidden,
    LastModel,
    ModelInUse,
    SlowBody,
    Stopping,
    StoreUnusable,
    Unauthorized,
    UnknownModel,
)
from app.http import asgi_request
from app.http.error_responses import documented
from app.http.routes.predict import BINARY, DEADLINE
from app.http.routes.short_body import read_short_body
from app.http.routes.state import Current, CurrentRecord
from app.model.model import Model
from app.oip import examples, metadata, repository, rest_codec, schemas
from app.oip.inference import HttpInference, find_model
from app.paths import OIP
from app.request.examples import DETAILS
from app.request.json_text import read_short
from app.request.query_string import NoQuery, parse_query
from app.service.gateway import Gateway

documented_errors = partial(documented, path=OIP, details=DETAILS | examples.DETAILS)
errors_with_key = partial(documented_errors, Unauthorized)  # all routes except health
MODEL = "/models/{name}"
INFER_BODY = {
    "description": "JSON, which raw tensors may follow, or one encoded image with the header "
    f"`{rest_codec.LENGTH_HEADER}: 0`.",
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/InferenceRequest"},
            "example": examples.INFERENCE_REQUEST,
        },
        "application/octet-stream": BINARY,
    },
}
CONTENT_LENGTH = {
    "name": rest_codec.LENGTH_HEADER.lower(),
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 0},
    "description": "Length of the JSON in bytes. Raw tensors follow it.",
}


async def _no_query(request: Request) -> None:
    """Reject any query, because the protocol has all options in the body."""
    parse_query(NoQuery, request.scope["query_string"])


async def _named_model(request: Request, gateway: Current, name: str) -> Model:
    """The model in the path, which may also have a version."""
    return find_model(gateway, name, request.path_params.get("version", ""))


NamedModel = Annotated[Model, Depends(_named_model)]
router = APIRouter(
    prefix=OIP,
    tags=["Open Inference Protocol"],
    dependencies=[Depends(_no_query)],
    responses=documented_errors(BadQuery),
)
model_router = APIRouter(responses=errors_with_key(UnknownModel))  # with and without a version


@router.get("", response_model=schemas.ServerMetadata, responses=errors_with_key())
async def server() -> Response:
    """Name, version and extensions of the service."""
    return JSONResponse(metadata.server_metadata())


@router.get("/health/live", response_model=schemas.ServerLive)
async def live() -> Response:
    """The process is alive."""
    return JSONResponse({"live": True})


@router.get(
    "/health/ready", response_model=schemas.ServerReady, responses=documented_errors(Stopping)
)
async def ready(gateway: Current) -> Response:
    """The default model is loaded and warmed up, and the service is not shutting down."""
    if gateway.lifecycle.stopping:
        raise Stopping("The service is shutting down; retry on another instance.")
    return JSONResponse({"ready": True})


@router.get("/models/stats", response_model=schemas.Statistics, responses=errors_with_key())
async def all_stats(gateway: Current) -> Response:
    """Number and times of the images of each model since the start."""
    return JSONResponse(metadata.model_statistics(gateway.current_metrics(), gateway.store))


@model_router.get("", response_model=schemas.ModelMetadata)
async def model(name: str, model: NamedModel) -> Response:
    """The tensors of a model."""
    return JSONResponse(metadata.model_metadata(name, model))


@model_router.get(
    "/ready", response_model=schemas.ModelReady, responses=errors_with_key(StoreUnusable)
)
async def model_ready(name: str, model: NamedModel) -> Response:
    """The model is loaded, now if not before. A 404 means that the store does not serve it."""
    await repository.make_ready(model)
    return JSONResponse({"name": name, "ready": True})


@model_router.get("/config", response_model=schemas.ModelConfig)
async def model_config(model: NamedModel, gateway: Current) -> Response:
    """The part of Triton's model configuration that clients read."""
    return JSONResponse(metadata.model_config(model, gateway.settings.max_images))


@model_router.get("/stats", response_model=schemas.Statistics)
async def stats(model: NamedModel, gateway: Current) -> Response:
    """Number and times of the images of a model since the start."""
    return JSONResponse(metadata.model_statistics(gateway.current_metrics(), [model]))


@model_router.post(
    "/infer",
    response_model=schemas.InferenceResponse,
    responses=errors_with_key(*CLASSIFICATION_ERRORS),
    openapi_extra={"requestBody": INFER_BODY, "parameters": [CONTENT_LENGTH, DEADLINE]},
)
async def model_infer(
    name: str, request: Request, gateway: Current, record: CurrentRecord
) -> Response:
    """Run a model on input tensors. Encoded images are tensors of type `BYTES`."""
    record.route = f"{OIP}{MODEL}/infer"  # one series in the metrics, with or without the version
    inference = HttpInference(gateway, record)
    version = request.path_params.get("version", "")
    head = partial(inference.open, name, version, request.headers.raw)
    return await asgi_request.answer(inference, head, request.receive)


router.include_router(model_router, prefix=MODEL)
router.include_router(model_router, prefix=f"{MODEL}/versions/{{version}}", include_in_schema=False)


def _optional_body(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI for an optional body whose only field is `name`."""
    body = {"type": "object", "properties": {name: schema}, "additionalProperties": False}
    return {"requestBody": {"content": {"application/json": {"schema": body, "example": {}}}}}


@router.post(
    "/repository/index",
    response_model=schemas.RepositoryIndex,
    responses=errors_with_key(BadRequest, SlowBody, StoreUnusable),
    openapi_extra=_optional_body(
        "ready", {"type": "boolean", "description": "Only loaded models."}
    ),
)
async def index(request: Request, gateway: Current) -> Response:
    """All models of the store, loaded or not."""
    options = await _options(request, gateway, "ready")
    ready = options.get("ready", False)
    if not isinstance(ready, bool):
        raise BadRequest("ready: must be true or false.")
    return JSONResponse(repository.index(gateway, ready=ready))


@router.post(
    "/repository/models/{name}/load",
    response_model=schemas.Done,
    responses=errors_with_key(BadRequest, SlowBody, Forbidden, UnknownModel, StoreUnusable),
    openapi_extra=_optional_body("parameters", {"type": "object"}),
)
async def load(request: Request, gateway: Current, name: str) -> Response:
    """Load a model of the store, or load it again; needs the admin key."""
    await repository.load(gateway, request.headers.raw, name, await _parameters(request, gateway))
    return JSONResponse({})


@router.post(
    "/repository/models/{name}/unload",
    response_model=schemas.Done,
    responses=errors_with_key(
        BadRequest, SlowBody, Forbidden, UnknownModel, LastModel, ModelInUse, StoreUnusable
    ),
    openapi_extra=_optional_body("parameters", {"type": "object"}),
)
async def unload(request: Request, gateway: Current, name: str) -> Response:
    """Stop serving a model; needs the admin key."""
    await repository.unload(gateway, request.headers.raw, name, await _parameters(request, gateway))
    return JSONResponse({})


async def _parameters(request: Request, gateway: Gateway) -> Mapping[str, Any]:
    parameters = (await _options(request, gateway, "parameters")).get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequest("parameters: must be a JSON object.")
    return parameters


async def _options(request: Request, gateway: Gateway, known: str) -> Mapping[str, Any]:
    """The JSON object of a request, or {} for an empty body; `known` is its only key."""
    body = await read_short_body(request, gateway.settings.deadline_ms)
    options = read_short(body or b"{}")
    if options is None or options.keys() - {known}:
        raise BadRequest(f"The body must be empty or a JSON object with no key but {known!r}.")
    return options
