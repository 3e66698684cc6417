"""How many gRPC calls are taken at once, and how many messages are read.

grpc hands a message over when all of it is there and says nothing of it before, so each that may be
on its way counts as the largest one. Used by the event loop's thread only.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded

LEAST_PLACES = 4  # of each kind, however little memory there is


class Places:
    """As many of a kind as there may be at once."""

    def __init__(self, most: int, kind: str) -> None:
        self.most = most
        self._kind = kind
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place.

        Raises:
            Overloaded: all are taken.
        """
        if self._taken == self.most:
            raise Overloaded(f"{self.most} {self._kind}; the limit is {self.most}")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class GrpcLimits:
    """Places for calls, for streams, and to read messages: half for calls, half for streams.

    A stream keeps its place while it is open, for its next message can come at any time. A call
    needs one only until its message is there, so it waits for its turn.
    """

    def __init__(self, most_calls: int, limit_bytes: int, message_bytes: int) -> None:
        half = max(LEAST_PLACES, limit_bytes // message_bytes // 2)
        self.calls = Places(most_calls, "calls are under way")
        self.streams = Places(half, "streams are open")
        self.reading = asyncio.Semaphore(half)  # `async with` it
