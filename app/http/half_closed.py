"""A connection whose client has closed its sending side: it may wait for its answer, or be gone.

Both look the same until something is sent. So an answer that takes long is preceded by interim
responses (RFC 9110, section 15.2), to which the system of a client that is gone replies with a
reset.
"""

import asyncio
from collections.abc import Callable

PROBE_S = 0.25
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class HalfClosed:
    """Asks again and again whether the client is there, as long as it waits."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        is_waiting: Callable[[], bool],
    ) -> None:
        """`is_waiting` tells whether the answer in flight has not begun."""
        self._transport = transport
        self._loop = loop
        self._is_waiting = is_waiting
        self._timer = loop.call_later(PROBE_S, self._probe)

    def end(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _probe(self) -> None:
        if self._transport.is_closing() or not self._is_waiting():
            return
        self._transport.write(INTERIM)
        self._timer = self._loop.call_later(PROBE_S, self._probe)
