"""POST /predict: images in, labels out."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.bodies import RAW_TYPES, read_body, split_images
from app.gateway import Current
from app.problem import documented
from app.schemas import Answer, PredictBody, PredictQuery

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
    responses=documented(400, 404, 413, 415, 422),
)
async def predict(
    request: Request, gateway: Current, query: Annotated[PredictQuery, Query()]
) -> Response:
    """Classify one or many images with one model."""
    settings = gateway.settings
    body = await read_body(
        request.stream(), request.headers.get("content-length"), settings.max_body_bytes
    )
    images = split_images(body, request.headers.get("content-type", ""), settings.max_images)
    answer = await gateway.classifier.classify(images, query.model, query.top_k, query.resolution)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
