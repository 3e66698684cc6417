"""Cameras beside a service without HTTP, and waiting for what they show."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.cameras.broadcast import Subscription
from app.cameras.cameras import Cameras
from app.cameras.event import Event
from app.cameras.settings import read_cameras
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S

# The models of these tests have random weights, so any label starts with any probability.
SURE = {"start_probability": 1e-6, "end_probability": 0, "in_a_row": 1, "cool_down_s": 0}


@asynccontextmanager
async def watching(store: Path, **cameras: dict[str, Any]) -> AsyncIterator[Cameras]:
    """Cameras of a service without HTTP."""
    async with watching_gateway(store, **cameras) as (opened, _):
        yield opened


@asynccontextmanager
async def watching_gateway(
    store: Path, **cameras: dict[str, Any]
) -> AsyncIterator[tuple[Cameras, Gateway]]:
    """The same with the service."""
    tables = {"cameras": cameras}
    settings = Settings(store=store, default_model=SMALL_V1, workers=2, measure_s=0)
    gateway = open_gateway(settings.with_tables(tables))
    try:
        opened = Cameras(gateway, read_cameras(tables))
        opened.start()
        try:
            yield opened, gateway
        finally:
            await opened.stop()
    finally:
        gateway.close()


async def until(holds: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(LIVELINESS_S):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


async def next_event(listening: Subscription) -> Event:
    async for message in listening:
        if isinstance(message, Event):
            return message
    raise AssertionError("the subscription ended")


def put(folder: Path, name: str, data: bytes) -> None:
    """Write a file as a careful program does."""
    part = folder / f".{name}"
    part.write_bytes(data)
    part.rename(folder / name)
