"""What every request carries, and how a route gets at it."""

from typing import Annotated, TypedDict

from fastapi import Depends, Request

from app.service.gateway import Gateway
from app.telemetry.record import Record


class State(TypedDict):
    """What the lifespan yields."""

    gateway: Gateway


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


async def _record(request: Request) -> Record:
    record: Record = request.state.record  # set by the middleware
    return record


Current = Annotated[Gateway, Depends(_gateway)]
CurrentRecord = Annotated[Record, Depends(_record)]
