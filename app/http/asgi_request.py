"""A request for classification that came in through ASGI."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive

from app.errors import ClientGone, RequestError
from app.inference.scheduler import Ticket
from app.request import answering

Result = TypeVar("Result")


class HttpRequest(answering.Answerable[Result, Response], Protocol[Result]):
    """A request that is answered with an HTTP response."""

    def take(self, chunk: bytes) -> None:
        """Add a chunk to the body."""

    def client_gone(self) -> ClientGone:
        """The error for a client that closed its connection."""

    def reject(self, error: RequestError) -> Response:
        """Make the response to an error that ends the request."""

    def close(self) -> None:
        """Release everything that the request holds."""


async def answer(
    request: HttpRequest[Result], open_request: Callable[[], None], receive: Receive
) -> Response:
    """Answer one request, with an error response if it cannot be answered."""
    try:
        return await answering.answer(request, _AsgiClient(request, receive), open_request)
    except RequestError as error:
        return request.reject(error)
    finally:
        request.close()


class _AsgiClient:
    def __init__(self, request: HttpRequest[Any], receive: Receive) -> None:
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
