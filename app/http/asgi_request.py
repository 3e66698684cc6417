"""Work that came in through ASGI: its body read, its answer awaited, its client watched."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from fastapi.responses import Response
from starlette.types import Receive

from app.errors import ClientGone, DeadlineExceeded, RequestError, SlowBody
from app.inference.scheduler import Ticket

Result = TypeVar("Result")


class Answerable(Protocol[Result]):
    """Work that can be answered over HTTP."""

    deadline_ms: float

    def take(self, chunk: bytes) -> None:
        """Hold a piece of the body."""

    def start(self) -> Ticket[Result]:
        """Queue the images, now that the body is complete; may shorten the deadline."""

    def answer(self, outcomes: Sequence[Result | Exception]) -> Response:
        """The response for what became of the images."""

    def too_late(self) -> SlowBody | DeadlineExceeded:
        """The error for a deadline that passed."""

    def refuse(self, error: RequestError) -> Response:
        """The response for an error that ends the request."""

    def close(self) -> None:
        """Give everything back."""


async def answer(
    work: Answerable[Result], open_work: Callable[[], None], receive: Receive
) -> Response:
    """Answer one request, errors of the request included; `open_work` looks at its head."""
    began = asyncio.get_running_loop().time()
    try:
        open_work()
        async with asyncio.timeout_at(began + work.deadline_ms / 1000) as timeout:
            await _read(receive, work)
            ticket = work.start()
            timeout.reschedule(began + work.deadline_ms / 1000)
            outcomes = await _wait(receive, ticket)
            return work.answer(outcomes)
    except TimeoutError:
        return work.refuse(work.too_late())
    except RequestError as error:
        return work.refuse(error)
    finally:
        work.close()


async def _read(receive: Receive, work: Answerable[Result]) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client closed the connection in the middle of its body")
        work.take(message.get("body", b""))
        more = message.get("more_body", False)


async def _wait(receive: Receive, ticket: Ticket[Result]) -> Sequence[Result | Exception]:
    """The outcomes, or `ClientGone` as soon as the client is."""
    gone = asyncio.create_task(_watch(receive, ticket))
    try:
        return await ticket
    finally:
        gone.cancel()


async def _watch(receive: Receive, ticket: Ticket[Result]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    ticket.abandon(ClientGone("the client closed the connection before its answer"))
