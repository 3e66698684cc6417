"""/captures: the kept images, listed, read and deleted with the admin key."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.capture.folder import Capture, CaptureFolder
from app.errors import BadQuery, Forbidden, NotFound, Unauthorized, UnknownCapture
from app.http.error_responses import documented
from app.http.routes.state import Current, NoParameters
from app.http.schemas import CaptureList, CapturesQuery, KeptImage
from app.images.formats import sniff
from app.inference.results import ClassScore
from app.service.gateway import Gateway

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
IMAGE = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
router = APIRouter(
    prefix="/captures",
    tags=["captures"],
    responses=documented(BadQuery, Unauthorized, Forbidden, NotFound),
)


def _folder(request: Request, gateway: Gateway) -> CaptureFolder:
    """The folder, for an administrator.

    Raises:
        NotFound: no images are kept.
        Forbidden, Unauthorized: the request has no admin key.
    """
    if gateway.captures is None:
        raise NotFound("No images are kept. Set `capture` (GATEWAY_CAPTURE) to a folder.")
    gateway.keys.check_admin(request.headers.raw)
    return gateway.captures


@router.get("")
async def captures(
    request: Request, gateway: Current, query: Annotated[CapturesQuery, Query()]
) -> CaptureList:
    """The kept images, the newest first; needs the admin key."""
    folder = _folder(request, gateway)
    found = await asyncio.to_thread(folder.newest, query.limit, query.before)
    return CaptureList(
        captures=[_summary(capture) for capture in found],
        bytes=folder.size_bytes,
        limit_bytes=folder.limit_bytes,
    )


@router.get(
    "/{capture_id}",
    response_class=Response,
    responses={200: IMAGE, **documented(UnknownCapture)},
)
async def capture(capture_id: str, request: Request, gateway: Current, _: NoParameters) -> Response:
    """The file of a kept image; needs the admin key."""
    image = await asyncio.to_thread(_folder(request, gateway).read, capture_id)
    return Response(image, headers=PRIVATE, media_type=f"image/{sniff(image).lower()}")


@router.delete("/{capture_id}", status_code=204, responses=documented(UnknownCapture))
async def delete(capture_id: str, request: Request, gateway: Current, _: NoParameters) -> None:
    """Delete a kept image; needs the admin key."""
    await asyncio.to_thread(_folder(request, gateway).remove, capture_id)


@router.delete("", status_code=204)
async def delete_all(request: Request, gateway: Current, _: NoParameters) -> None:
    """Delete all kept images; needs the admin key."""
    await asyncio.to_thread(_folder(request, gateway).clear)


def _summary(capture: Capture) -> KeptImage:
    return KeptImage(
        id=capture.id,
        created=capture.created,
        model=capture.model,
        reason=capture.reason,
        predictions=[ClassScore(**score) for score in capture.predictions],
        bytes=capture.image_bytes,
    )
