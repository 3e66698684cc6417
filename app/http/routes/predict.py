"""POST /predict: labels for images.

`app.http.fast_predict` answers most requests on their connection, so that they never get here.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.auto.choice import PredictQuery
from app.errors import CLASSIFICATION_ERRORS, ImpossibleBudget, Unauthorized
from app.http import asgi_request
from app.http.error_responses import documented
from app.http.routes.state import Current, CurrentRecord
from app.paths import PREDICT
from app.request import examples
from app.request.admitted import DEADLINE_HEADER
from app.request.body import RAW_TYPES
from app.request.messages import Answer, PredictBody
from app.request.prediction import PredictionRequest

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
    "description": "One raw image, a form with one or more files, or JSON with images in base64.",
    "content": {
        **dict.fromkeys(RAW_TYPES, BINARY),
        "multipart/form-data": FORM,
        "application/json": {
            "schema": PredictBody.model_json_schema(),
            "example": examples.PREDICT_BODY,
        },
    },
}
DEADLINE = {
    "name": DEADLINE_HEADER.lower(),
    "in": "header",
    "required": False,
    "schema": {"type": "number", "exclusiveMinimum": 0},
    "description": "Deadline in milliseconds. A request that misses it gets a 504.",
}
router = APIRouter(tags=["classification"])


def query_parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    """OpenAPI parameters for a query that `parse_query` reads.

    FastAPI does not read it, because it would use the last value of a repeated parameter.
    """
    properties = query.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": schema.pop("description"),
        }
        for name, schema in properties.items()
    ]


@router.post(
    PREDICT,
    response_model=Answer,
    openapi_extra={
        "requestBody": BODY,
        "parameters": [*query_parameters(PredictQuery), DEADLINE],
    },
    responses=documented(*CLASSIFICATION_ERRORS, Unauthorized, ImpossibleBudget),
)
async def predict(request: Request, gateway: Current, record: CurrentRecord) -> Response:
    """Classify one or more images with one model."""
    prediction = PredictionRequest(gateway, record)
    head = partial(prediction.open, request.scope["query_string"], request.headers.raw)
    return await asgi_request.answer(prediction, head, request.receive)
