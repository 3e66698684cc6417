"""POST /predict: images in, labels out."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from app import examples
from app.auto import Choice, Demand
from app.bodies import RAW_TYPES, read_body, split_images
from app.budget import Lease
from app.classify import to_results
from app.errors import (
    BadQuery,
    BadRequest,
    ClientGone,
    DamagedImage,
    DeadlineExceeded,
    EmptyBody,
    ImageTooSmall,
    ImpossibleBudget,
    NotAnImage,
    Overloaded,
    RequestError,
    SlowBody,
    Stopping,
    TooManyBytes,
    TooManyImages,
    TooManyPixels,
    Unauthorized,
    UnknownModel,
    UnsupportedFormat,
)
from app.gateway import Gateway
from app.metrics import Metrics
from app.problem import documented, parse_query
from app.record import Record, record_of
from app.scheduler import Ticket
from app.schemas import Answer, ImageResult, PredictBody, PredictQuery

DEADLINE_HEADER = "X-Deadline-Ms"

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
            "example": examples.PREDICT_BODY,
        },
    },
}
PROBLEMS = (
    BadRequest,
    EmptyBody,
    NotAnImage,
    DamagedImage,
    Unauthorized,
    UnknownModel,
    SlowBody,
    TooManyBytes,
    TooManyImages,
    TooManyPixels,
    UnsupportedFormat,
    BadQuery,
    ImageTooSmall,
    ImpossibleBudget,
    Overloaded,
    Stopping,
    DeadlineExceeded,
)


class DirectRoute(APIRoute):
    """A route that FastAPI describes but does not take apart.

    Taking query and headers apart is a fifth of what FastAPI spends on a request; `answer` does it
    with the same models in a tenth of the time.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return answer


async def answer(request: Request) -> Response:
    """Answer POST /predict.

    Raises:
        RequestError: see `app.errors`; every kind but those of other routes.
    """
    gateway: Gateway = request.state.gateway
    query = parse_query(PredictQuery, request)
    deadline_ms = _deadline_ms(request, gateway.settings.deadline_ms)
    work = Work(gateway, query, deadline_ms, record_of(request.scope))
    work.take(gateway.chooser.named(query))
    try:
        results = await _classify_in_time(request, work, deadline_ms)
    except RequestError as error:
        gateway.metrics.observe_failure(work.record.model, error.type, work.record.images)
        raise
    _observe(gateway.metrics, work.record, results)
    choice = work.chosen
    body = Answer(
        model=choice.model.name,
        resolution=choice.resolution,
        results=results,
        choice=choice.note,
    )
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json")


@dataclass(slots=True)
class Work:
    """A request on its way: what it asks for and how far it is."""

    gateway: Gateway
    query: PredictQuery
    deadline_ms: float
    record: Record
    choice: Choice | None = None
    ticket: Ticket[ImageResult] | None = None

    @property
    def chosen(self) -> Choice:
        """What answers; with model=auto it is there when the body is."""
        assert self.choice is not None  # noqa: S101  nothing is classified without
        return self.choice

    def take(self, choice: Choice | None) -> None:
        """Settle what answers, if it is settled."""
        if choice is not None:
            self.choice, self.record.model = choice, choice.model.name

    def choose(self, images: Sequence[bytes]) -> Choice:
        """What the client named, or what is best for these images now."""
        if self.choice is None:
            size = max(map(len, images))
            chooser = self.gateway.chooser
            self.take(chooser.choose(self.query, Demand(len(images), size), self.deadline_ms))
        return self.chosen

    def too_late(self, deadline_ms: float) -> SlowBody | DeadlineExceeded:
        """The error for a deadline that passed, which says where the time went."""
        if self.ticket is None:
            return SlowBody(f"the body did not arrive within {deadline_ms:.0f} ms")
        return DeadlineExceeded(
            f"the deadline of {deadline_ms:.0f} ms passed: {self.ticket.progress()}"
        )


async def _classify_in_time(request: Request, work: Work, deadline_ms: float) -> list[ImageResult]:
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            with work.gateway.budget.lease() as lease:
                return await _classify(request, work, lease)
    except TimeoutError:
        raise work.too_late(deadline_ms) from None
    except ClientDisconnect:
        raise ClientGone("the client closed the connection in the middle of its body") from None


async def _classify(request: Request, work: Work, lease: Lease) -> list[ImageResult]:
    """Read the body, queue its images, wait for the results."""
    gateway, headers = work.gateway, request.headers
    settings = gateway.settings
    body = await read_body(
        request.stream(), headers.get("content-length"), settings.max_body_bytes, lease
    )
    images = split_images(body, headers.get("content-type", ""), settings.max_images)
    work.record.body_bytes, work.record.images = len(body), len(images)
    choice = work.choose(images)
    began = time.perf_counter()
    classify = partial(
        gateway.classifier.classify,
        model=choice.model,
        resolution=choice.resolution,
        top_k=work.query.top_k,
    )
    work.ticket = gateway.scheduler.submit([partial(classify, image) for image in images])
    if not gateway.scheduler.waiting:  # a worker has it: too late to drop it
        results = to_results(await work.ticket)
    else:
        gone = asyncio.create_task(_gone(request, work.ticket))
        try:
            results = to_results(await work.ticket)
        finally:
            gone.cancel()
    gateway.chooser.learn(choice, (time.perf_counter() - began) * 1000)
    return results


async def _gone(request: Request, ticket: Ticket[ImageResult]) -> None:
    """Abandon the ticket when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.abandon(ClientGone("the client closed the connection before its answer"))


def _deadline_ms(request: Request, limit_ms: float) -> float:
    """The request's own deadline, or the setting if that is sooner.

    Raises:
        BadQuery: the header is not a positive number.
    """
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return limit_ms
    try:
        wanted_ms = float(text)
    except ValueError:
        wanted_ms = 0
    if not 0 < wanted_ms < inf:
        raise BadQuery(f"{DEADLINE_HEADER}: {text[:50]!r} is not a number of milliseconds above 0")
    return min(wanted_ms, limit_ms)


def _observe(metrics: Metrics, record: Record, results: list[ImageResult]) -> None:
    for result in results:
        if result.error:
            metrics.observe_failure(record.model, result.error.type.rpartition(":")[2])
            continue
        record.queue_ms += result.queue_ms
        record.decode_ms += result.decode_ms
        record.inference_ms += result.inference_ms
        metrics.observe_image(record.model, result.queue_ms, result.decode_ms, result.inference_ms)


router = APIRouter(tags=["classification"], route_class=DirectRoute)


@router.post(
    "/predict",
    response_model=Answer,
    openapi_extra={"requestBody": BODY},
    responses=documented(*PROBLEMS),
)
async def predict(
    query: Annotated[PredictQuery, Query()],
    x_deadline_ms: Annotated[
        float | None, Header(gt=0, description="Answer within this time, or with a 504.")
    ] = None,
) -> Answer:
    """Classify one or many images with one model."""
    raise NotImplementedError("described here, answered by `answer`")
