"""POST /predict: images in, labels out."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from starlette.types import Receive, Scope

from app import examples
from app.bodies import RAW_TYPES
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
from app.prediction import PATH, Prediction
from app.problem import documented
from app.record import Record
from app.scheduler import Ticket
from app.schemas import Answer, ImageResult, PredictBody, PredictQuery

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


async def answer(gateway: Gateway, record: Record, scope: Scope, receive: Receive) -> Response:
    """Answer POST /predict from any ASGI server, errors of the request included."""
    prediction = Prediction(gateway, record)
    try:
        prediction.open(scope["query_string"], scope["headers"])
        async with asyncio.timeout(prediction.deadline_ms / 1000):
            await _read(receive, prediction)
            return prediction.answer(await _wait(receive, prediction.start()))
    except TimeoutError:
        return prediction.refuse(prediction.too_late())
    except RequestError as error:
        return prediction.refuse(error)
    finally:
        prediction.close()


async def _read(receive: Receive, prediction: Prediction) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client closed the connection in the middle of its body")
        prediction.take(message.get("body", b""))
        more = message.get("more_body", False)


async def _wait(receive: Receive, ticket: Ticket[ImageResult]) -> Sequence[ImageResult | Exception]:
    """The outcomes, or `ClientGone` as soon as the client is."""
    gone = asyncio.create_task(_watch(receive, ticket))
    try:
        return await ticket
    finally:
        gone.cancel()


async def _watch(receive: Receive, ticket: Ticket[ImageResult]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    ticket.abandon(ClientGone("the client closed the connection before its answer"))


router = APIRouter(tags=["classification"])


@router.post(
    PATH,
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
    raise NotImplementedError("described here; `app.frontdoor` lets `answer` answer it")
