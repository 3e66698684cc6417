"""Limits on the gRPC calls in flight and on the messages read at the same time.

grpc delivers complete messages and does not tell their size in advance, so each message that may
be arriving counts as one of the maximum size. Used by the event loop's thread only.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded

MIN_SLOTS = 4  # of each kind, even if memory is short


class Slots:
    """Limits how many of one kind are open at the same time."""

    def __init__(self, maximum: int, kind: str) -> None:
        self.maximum = maximum
        self._kind = kind
        self._used = 0

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Hold one slot inside the `with` block.

        Raises:
            Overloaded: no slot is free.
        """
        if self._used == self.maximum:
            raise Overloaded(f"Too many {self._kind}: {self.maximum} of {self.maximum}.")
        self._used += 1
        try:
            yield
        finally:
            self._used -= 1


class GrpcLimits:
    """Slots for calls and streams, and for reading messages.

    Half of the memory is for the messages of calls, half for those of streams. A stream keeps its
    slot while it is open, because its next message can arrive at any time. A call
    needs one only until its message has arrived, so it waits for a free one.
    """

    def __init__(self, max_calls: int, limit_bytes: int, message_bytes: int) -> None:
        half = max(MIN_SLOTS, limit_bytes // message_bytes // 2)
        self.calls = Slots(max_calls, "calls in flight")
        self.streams = Slots(half, "open streams")
        self.reading = asyncio.Semaphore(half)
