"""The end of a connection whose client may still be sending (RFC 9112, 9.6).

Closed at once it would be reset, and a reset takes along the answer that the client has not read
yet; many read nothing before the whole body is sent.
"""

import asyncio

QUIET_S = 2  # of silence end it
LONGEST_S = 30
MOST_BYTES = 64 * 2**20


class Linger:
    """Sends nothing more, and passes over what comes until the client is done, within limits."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._bytes = 0
        self._bytes_before = 0  # when silence was last looked for
        self._end = loop.time() + LONGEST_S
        self._timer = loop.call_later(QUIET_S, self._look)
        if transport.can_write_eof():  # not with TLS
            transport.write_eof()

    def pass_over(self, size_bytes: int) -> None:
        """Count what came in."""
        self._bytes += size_bytes
        if self._bytes > MOST_BYTES:
            self.close()

    def close(self) -> None:
        """Close the connection now; once is enough."""
        self._timer.cancel()
        self._transport.close()

    def _look(self) -> None:
        if self._bytes == self._bytes_before or self._loop.time() >= self._end:
            self.close()
        else:
            self._bytes_before = self._bytes
            self._timer = self._loop.call_later(QUIET_S, self._look)
