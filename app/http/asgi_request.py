"""A request for classification that came in through ASGI."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive

from app.errors import RequestError
from app.inference.scheduler import Ticket
from app.oip.inference import HttpInference
from app.request import answering
from app.request.prediction import PredictionRequest

HttpRequest = PredictionRequest | HttpInference


async def answer(
    request: HttpRequest, open_request: Callable[[], None], receive: Receive
) -> Response:
    """Answer one request, with an error response if it cannot be answered."""
    try:
        client = _AsgiClient(request, receive)
        return await answering.answer(request, open_request, client.read_body, client.wait_for)
    except RequestError as error:
        return request.reject(error)
    finally:
        request.close()


class _AsgiClient:
    def __init__(self, request: HttpRequest, receive: Receive) -> None:
        self._request = request
        self._receive = receive

    async def read_body(self) -> None:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise self._request.client_gone()
            self._request.take(message.get("body", b""))
            more = message.get("more_body", False)
        if delay_s := self._request.parse_delay_s():
            await asyncio.sleep(delay_s)

    async def wait_for(self, ticket: Ticket[Any]) -> Sequence[Any]:
        watch = asyncio.create_task(self._abandon_when_gone(ticket))
        try:
            return await ticket
        finally:
            watch.cancel()

    async def _abandon_when_gone(self, ticket: Ticket[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        ticket.abandon(self._request.client_gone())
