"""POST /predict: images in, labels out."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from starlette.types import Receive, Scope

from app.errors import (
    CLASSIFYING,
    ImpossibleBudget,
    Unauthorized,
)
from app.http import asgi_request
from app.http.error_responses import documented
from app.http.schemas import Answer, PredictBody, PredictQuery
from app.request import examples
from app.request.body import RAW_TYPES
from app.request.prediction import PATH, Prediction
from app.service.gateway import Gateway
from app.telemetry.record import Record

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


async def answer(gateway: Gateway, record: Record, scope: Scope, receive: Receive) -> Response:
    """Answer POST /predict from any ASGI server, errors of the request included."""
    prediction = Prediction(gateway, record)
    head = partial(prediction.open, scope["query_string"], scope["headers"])
    return await asgi_request.answer(prediction, head, receive)


router = APIRouter(tags=["classification"])


@router.post(
    PATH,
    response_model=Answer,
    openapi_extra={"requestBody": BODY},
    responses=documented(*CLASSIFYING, Unauthorized, ImpossibleBudget),
)
async def predict(
    query: Annotated[PredictQuery, Query()],
    x_deadline_ms: Annotated[
        float | None, Header(gt=0, description="Answer within this time, or with a 504.")
    ] = None,
) -> Answer:
    """Classify one or many images with one model."""
    raise NotImplementedError("described here; `app.http.middleware` lets `answer` answer it")
