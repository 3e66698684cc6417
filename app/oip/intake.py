"""How many gRPC calls are taken at once, and how many messages are read.

grpc hands a message over when all of it is there and says nothing of it before, so each that may be
on its way counts as the largest one. Used by the event loop's thread only.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded

LEAST_PLACES = 4  # of each kind, however little memory there is


class Intake:
    """Counts calls, and places where a message can be read: half for calls, half for streams.

    A stream keeps its place while it is open, for its next message can come at any time. A call
    needs one only until its message is there, so it waits for its turn.
    """

    def __init__(self, most_calls: int, limit_bytes: int, message_bytes: int) -> None:
        places = limit_bytes // message_bytes
        self.most_calls = most_calls
        self.most_streams = max(LEAST_PLACES, places // 2)
        self.reading = asyncio.Semaphore(max(LEAST_PLACES, places // 2))  # `async with` it
        self._calls = self._streams = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call.

        Raises:
            Overloaded: there are as many as there may be.
        """
        if self._calls == self.most_calls:
            raise Overloaded(f"{self._calls} calls are under way; the limit is {self.most_calls}")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream.

        Raises:
            Overloaded: there are as many as there may be.
        """
        if self._streams == self.most_streams:
            raise Overloaded(f"{self._streams} streams are open; the limit is {self.most_streams}")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
