"""GET /metrics: metrics for Prometheus."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from app.errors import BadQuery, Unauthorized
from app.http.error_responses import documented
from app.http.routes.state import Current, NoParameters

router = APIRouter(tags=["service"], responses=documented(BadQuery, Unauthorized))

TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/metrics", response_class=Response, responses=TEXT)
async def metrics(gateway: Current, _: NoParameters) -> Response:
    """All metrics in the text format of Prometheus."""
    return Response(gateway.current_metrics().render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
