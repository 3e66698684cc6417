"""What the lifespan hands to every request, and how a route gets at it."""

from typing import Annotated, TypedDict

from fastapi import Depends, Request

from app.service.gateway import Gateway


class State(TypedDict):
    """What the lifespan yields."""

    gateway: Gateway


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


Current = Annotated[Gateway, Depends(_gateway)]
