"""Answers that a client does not read."""

import asyncio

MIN_BYTES = 1024  # that a client which reads takes within the timeout


class UnreadAnswers:
    """Aborts a connection whose client reads nothing of what waits to be sent."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, timeout_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_s = timeout_s
        self._left_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin, because much waits to be sent or the connection is to be closed."""
        self.ignore()
        self._left_bytes = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._timeout_s, self._check)

    def ignore(self) -> None:
        """End, because the client reads or has gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Close the connection behind what waits to be sent."""
        self._transport.close()
        self.watch()

    def _check(self) -> None:
        if self._transport.get_write_buffer_size() > self._left_bytes - MIN_BYTES:
            self._transport.abort()
        else:
            self.watch()
