"""/cameras and /events: what the cameras show, now and as it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from app.cameras.event import Event, fields
from app.cameras.status import CameraStatus
from app.errors import BadQuery, NotFound, Overloaded, Stopping, Unauthorized
from app.http.error_responses import documented
from app.http.routes.state import Current, NoParameters
from app.http.schemas import BrokerStatus, CameraList
from app.service.lifecycle import Lifecycle

if TYPE_CHECKING:
    from app.cameras.broadcast import Subscription
    from app.cameras.camera_service import CameraService

LISTENERS = 32
HEARTBEAT_S = 15.0  # less than proxies wait for
LOOK_S = 0.25  # between two looks whether the service is shutting down
NOT_SET = (
    "No cameras are set. Add a table [cameras.NAME] with its `source` to the TOML file of the "
    "settings (GATEWAY_CONFIG)."
)
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`start` and `end` of labels with ids, and `status` of cameras.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


async def _service(request: Request) -> "CameraService":
    """The cameras.

    Raises:
        NotFound: none are set.
    """
    service: CameraService | None = request.state.cameras
    if service is None or not service.cameras.names:
        raise NotFound(NOT_SET)
    return service


Service = Annotated[Any, Depends(_service)]
router = APIRouter(tags=["cameras"], responses=documented(BadQuery, Unauthorized, NotFound))


@router.get("/cameras")
async def cameras(service: Service, _: NoParameters) -> CameraList:
    """Every camera with its label, its source and its counters."""
    found, publisher = service.cameras, service.publisher
    return CameraList(
        cameras=[found.status(name) for name in found.names],
        mqtt=BrokerStatus(connected=publisher.connection.connected) if publisher else None,
    )


@router.get("/cameras/{name}/frame.jpg", response_class=Response, responses=JPEG)
async def frame(name: str, service: Service, _: NoParameters) -> Response:
    """The newest frame of a camera as JPEG."""
    jpeg = await asyncio.to_thread(service.cameras.newest_jpeg, name)
    if jpeg is None:
        raise NotFound(f"Camera {name} has sent no frame yet.")
    return Response(jpeg, headers=PRIVATE, media_type="image/jpeg")


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={**EVENTS, **documented(Overloaded, Stopping)},
)
async def events(
    request: Request, service: Service, gateway: Current, _: NoParameters
) -> StreamingResponse:
    """Events as server-sent events; with `Last-Event-ID` after that one, of the last 200."""
    if gateway.lifecycle.stopping:
        raise Stopping("The service is shutting down; retry on another instance.")
    if service.listeners >= LISTENERS:
        raise Overloaded(f"{LISTENERS} of {LISTENERS} clients listen to events.", 60)
    last_id = request.headers.get("last-event-id")
    return StreamingResponse(
        _stream(service, gateway.lifecycle, last_id),
        media_type="text/event-stream",
        headers=PRIVATE,
    )


async def _stream(
    service: "CameraService", lifecycle: Lifecycle, last_id: str | None
) -> AsyncIterator[bytes]:
    """The events that a client missed, then all new ones, until the service shuts down."""
    if service.listeners >= LISTENERS:  # they came at once
        return
    service.listeners += 1
    try:
        with service.cameras.subscribe() as subscription:
            recent = service.cameras.recent() if last_id is not None else []
            yield b"retry: 3000\n\n"
            for event in recent:
                if event.id > str(last_id):
                    yield _event(event)
            for name in service.cameras.names:
                yield _status(service.cameras.status(name))
            async for text in _news(subscription, lifecycle):
                yield text
    finally:
        service.listeners -= 1


async def _news(subscription: "Subscription", lifecycle: Lifecycle) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    messages = aiter(subscription)
    coming = asyncio.ensure_future(anext(messages))
    heartbeat_due = loop.time() + HEARTBEAT_S
    try:
        while not lifecycle.stopping:
            await asyncio.wait([coming], timeout=LOOK_S)
            if coming.done():
                try:
                    message = coming.result()
                except StopAsyncIteration:
                    return
                yield _event(message) if isinstance(message, Event) else _status(message)
                coming = asyncio.ensure_future(anext(messages))
            elif loop.time() < heartbeat_due:
                continue
            else:
                yield b":\n\n"
            heartbeat_due = loop.time() + HEARTBEAT_S
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _event(event: Event) -> bytes:
    return _sent(event.state, json.dumps(fields(event)), f"id: {event.id}\n")


def _status(status: CameraStatus) -> bytes:
    return _sent("status", status.model_dump_json())


def _sent(kind: str, data: str, id_line: str = "") -> bytes:
    return f"{id_line}event: {kind}\ndata: {data}\n\n".encode()
