"""Closing a connection whose client may still be sending (RFC 9112, section 9.6).

Closing it at once would reset it, and a reset discards the answer that the client has not read yet.
Many clients read nothing before their whole body is sent.
"""

import asyncio

from app.http.unread_answers import UnreadAnswers

QUIET_S = 2  # silence that ends it
MAX_LINGER_S = 30
MAX_BYTES = 64 * 2**20
# Discarding takes processor time too, and a client that sends as fast as it can takes most of it.
BURST_BYTES, PAUSE_S = 2**20, 0.02


class LingeringClose:
    """Sends nothing more and discards what arrives, until the client is done or a limit is hit."""

    def __init__(
        self,
        transport: asyncio.Transport,
        unread: UnreadAnswers,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._transport = transport
        self._unread = unread
        self._loop = loop
        self._bytes = 0
        self._bytes_before_pause = 0
        self._pause: asyncio.TimerHandle | None = None
        self._bytes_before = 0  # at the last check for silence
        self._end = loop.time() + MAX_LINGER_S
        self._timer = loop.call_later(QUIET_S, self._check)
        if transport.can_write_eof():  # not with TLS
            transport.write_eof()

    def discard(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        if self._bytes > MAX_BYTES:
            self.close()
        elif self._bytes > self._bytes_before_pause + BURST_BYTES:
            self._bytes_before_pause = self._bytes
            self._transport.pause_reading()
            self._pause = self._loop.call_later(PAUSE_S, self._transport.resume_reading)

    def close(self) -> None:
        """Close the connection now; may be called again."""
        self._timer.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._unread.close()

    def _check(self) -> None:
        if self._bytes == self._bytes_before or self._loop.time() >= self._end:
            self.close()
        else:
            self._bytes_before = self._bytes
            self._timer = self._loop.call_later(QUIET_S, self._check)
