"""The steps from an admitted request to its answer, awaited one after another.

ASGI and gRPC are answered this way. The fast path (`app.http.fast_predict`) takes the same steps
in callbacks of its connection, because a task per request costs more than the request itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from app.errors import RequestError
from app.inference.scheduler import Ticket

Answer_co = TypeVar("Answer_co", covariant=True)


class Answerable(Protocol[Answer_co]):
    """A request that is opened already and can be answered once its body is there."""

    deadline_ms: float

    def start(self) -> Ticket[Any]:
        """Queue the images of the complete body; may shorten the deadline.

        Raises:
            RequestError: the body is not a request that can be answered, or the queue is full.
        """

    def answer(self, outcomes: Sequence[Any]) -> Answer_co:
        """Make the answer from the outcome of each image.

        Raises:
            ImageError: an image cannot be classified, and the answer has no place for its error.
        """

    def too_late(self) -> RequestError:
        """The error for a deadline that passed."""


async def answer(
    request: Answerable[Answer_co],
    open_request: Callable[[], None],
    read_body: Callable[[], Awaitable[None]],
    wait_for: Callable[[Ticket[Any]], Awaitable[Sequence[Any]]],
) -> Answer_co:
    """Open a request by its head, read its body, classify its images and make the answer.

    `wait_for` returns the outcomes of a ticket, or abandons it if the client leaves.

    Raises:
        RequestError: the request cannot be answered, or not within its deadline.
    """
    began = asyncio.get_running_loop().time()
    open_request()
    try:
        async with asyncio.timeout_at(began + request.deadline_ms / 1000) as timeout:
            await read_body()
            ticket = request.start()
            timeout.reschedule(began + request.deadline_ms / 1000)
            return request.answer(await wait_for(ticket))
    except TimeoutError:
        raise request.too_late() from None
