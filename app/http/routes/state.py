"""Dependencies of the routes: the gateway, the record of the request, and an empty query."""

from typing import Annotated

from fastapi import Depends, Query, Request

from app.request.query_string import NoQuery
from app.service.gateway import Gateway
from app.telemetry.record import Record


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


async def _record(request: Request) -> Record:
    record: Record = request.state.record  # set by the middleware
    return record


Current = Annotated[Gateway, Depends(_gateway)]
CurrentRecord = Annotated[Record, Depends(_record)]
NoParameters = Annotated[NoQuery, Query()]
