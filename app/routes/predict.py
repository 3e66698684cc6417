"""POST /predict: images in, labels out."""

import asyncio
import time
from math import inf
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from app.bodies import RAW_TYPES, read_body, split_images
from app.budget import Lease
from app.classify import to_results
from app.errors import ClientGone, SlowBody
from app.gateway import Current, Gateway
from app.metrics import Metrics
from app.problem import documented
from app.record import Record, record_of
from app.scheduler import Ticket
from app.schemas import Answer, ImageResult, PredictBody, PredictQuery

router = APIRouter(tags=["classification"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "properties": {"image": {"type": "array", "items": BINARY["schema"]}},
        "required": ["image"],
    }
}
BODY: dict[str, Any] = {
    "required": True,
    "description": "One raw image, a form with one or many files, or JSON with base64.",
    "content": {
        **dict.fromkeys(RAW_TYPES, BINARY),
        "multipart/form-data": FORM,
        "application/json": {
            "schema": PredictBody.model_json_schema(),
            "example": {"images": ["/9j/4AAQSkZJRgABAQ...", "iVBORw0KGgoAAAANSU..."]},
        },
    },
}


@router.post(
    "/predict",
    response_model=Answer,
    openapi_extra={"requestBody": BODY},
    responses=documented(400, 401, 404, 408, 413, 415, 422, 503, 504),
)
async def predict(
    request: Request,
    gateway: Current,
    query: Annotated[PredictQuery, Query()],
    x_deadline_ms: Annotated[
        float | None, Header(gt=0, description="Answer within this time, or with a 504.")
    ] = None,
) -> Response:
    """Classify one or many images with one model."""
    arrived = time.perf_counter()
    deadline_ms = min(x_deadline_ms or inf, gateway.settings.deadline_ms)
    model = gateway.store.get(query.model)
    resolution = model.check_resolution(query.resolution)
    record = record_of(request.scope)
    record.model = model.name
    with gateway.budget.lease() as lease:
        body = await _read(request, gateway, lease, deadline_ms)
        images = split_images(
            body, request.headers.get("content-type", ""), gateway.settings.max_images
        )
        record.body_bytes, record.images = len(body), len(images)
        ticket = gateway.classifier.submit(images, model, query.top_k, resolution)
        left_ms = deadline_ms - (time.perf_counter() - arrived) * 1000
        results = to_results(await _wait(ticket, request, left_ms, deadline_ms))
    _observe(gateway.metrics, record, results)
    answer = Answer(model=model.name, resolution=resolution, results=results)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


async def _read(request: Request, gateway: Gateway, lease: Lease, deadline_ms: float) -> bytes:
    """Read the body within the limits.

    Raises:
        SlowBody: it did not arrive before the deadline.
        ClientGone: the client closed the connection in the middle of it.
    """
    declared = request.headers.get("content-length")
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            return await read_body(
                request.stream(), declared, gateway.settings.max_body_bytes, lease
            )
    except TimeoutError:
        raise SlowBody(f"the body did not arrive within {deadline_ms:.0f} ms") from None
    except ClientDisconnect:
        raise ClientGone("the client closed the connection in the middle of its body") from None


async def _wait(
    ticket: Ticket[ImageResult], request: Request, left_ms: float, deadline_ms: float
) -> list[ImageResult | Exception]:
    """Wait for the results; drop the work when the deadline passes or the client goes.

    Raises:
        DeadlineExceeded, ClientGone: that happened.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(left_ms / 1000, ticket.expire, deadline_ms)
    gone = loop.create_task(_gone(request, ticket))
    try:
        return await ticket
    finally:
        timer.cancel()
        gone.cancel()


async def _gone(request: Request, ticket: Ticket[ImageResult]) -> None:
    """Abandon the ticket when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.abandon(ClientGone("the client closed the connection before its answer"))


def _observe(metrics: Metrics, record: Record, results: list[ImageResult]) -> None:
    for result in results:
        if result.error:
            metrics.observe_failure(record.model, result.error)
            continue
        record.queue_ms += result.queue_ms
        record.decode_ms += result.decode_ms
        record.inference_ms += result.inference_ms
        metrics.observe_image(record.model, result.queue_ms, result.decode_ms, result.inference_ms)
