"""Graceful shutdown: whether new requests are accepted, and how many are in flight."""

import asyncio

FLUSH_S = 1  # seconds for responses that are still being sent when all work is done


class Lifecycle:
    """Counts accepted requests, so that a stop can wait for the last one; event loop only.

    `finished` is the number of requests that have ended since the start, with any answer.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.active = 0
        self.finished = 0
        self._idle = asyncio.Event()

    def enter(self) -> None:
        self.active += 1

    def leave(self) -> None:
        self.active -= 1
        self.finished += 1
        if self.stopping and not self.active:
            self._idle.set()

    async def stop(self, drain_s: float, timeout_s: float) -> bool:
        """Reject new requests; wait at least `drain_s` and until all accepted ones are answered.

        Returns whether everything was answered within `timeout_s`.
        """
        self.stopping = True
        if not self.active:
            self._idle.set()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(asyncio.sleep(drain_s), self._idle.wait())
        except TimeoutError:
            return False
        return True
