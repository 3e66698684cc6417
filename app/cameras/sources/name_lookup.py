"""Whether a camera's name has an address, asked without the event loop's own threads."""

import asyncio
import socket
import threading
from contextlib import suppress


class NameLookup:
    """Asks on a daemon thread, one at a time; event loop only.

    A name server that is away holds a thread for long, and the event loop has few: after some
    attempts of some cameras, nothing else of the service would have one.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._numeric = is_numeric(host)
        self._answer: asyncio.Future[None] | None = None

    async def done(self, within_s: float) -> None:
        """Return once the name server has answered, whatever it says.

        Raises:
            TimeoutError: it has not.
        """
        if self._numeric:
            return
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._ask, args=(self._answer,), daemon=True).start()
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._answer)

    def _ask(self, answer: "asyncio.Future[None]") -> None:
        with suppress(OSError, UnicodeError):  # the client finds the same, and has the words for it
            socket.getaddrinfo(self._host, None)
        with suppress(RuntimeError):  # the loop is closed: the service has stopped
            answer.get_loop().call_soon_threadsafe(_settle, answer)


def is_numeric(host: str) -> bool:
    """Whether it is an address, which needs no name server."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


def _settle(answer: "asyncio.Future[None]") -> None:
    if not answer.done():
        answer.set_result(None)
