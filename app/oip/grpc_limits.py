"""Limits on the gRPC calls in flight and on the messages read at the same time.

grpc delivers complete messages and does not tell their size in advance, so each message that may
be arriving counts as one of the maximum size. Used by the event loop's thread only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from app.errors import Overloaded, SlowBody

Message = TypeVar("Message")
MIN_SLOTS = 4  # of each kind, even if memory is short
PATIENCE_S = 0.3  # for a message to arrive while other calls wait for its place
STREAM_IDLE_S = 75.0  # maximum time between two messages, like between two HTTP requests
STREAM_PATIENCE_S = 1.0  # the same while no stream can be opened


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


class Streams(Slots):
    """Open streams. If there are too many, the one that is silent for longest is ended."""

    def __init__(self, maximum: int) -> None:
        super().__init__(maximum, "open streams")
        self._silent: dict[asyncio.Timeout, float] = {}  # since when, in the order of these times

    @contextmanager
    def acquire(self) -> Iterator[None]:
        if self._used == self.maximum:
            self._end_one()
        with super().acquire():
            yield

    async def next_message(self, read: Callable[[], Awaitable[Message]]) -> Message:
        """The next message of a stream, or EOF.

        Raises:
            SlowBody: none arrived for too long.
        """
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(STREAM_IDLE_S) as timeout:
                self._silent[timeout] = now
                return await read()
        except TimeoutError:
            silent_s = asyncio.get_running_loop().time() - now
            raise SlowBody(
                f"No message arrived for {round(silent_s, 1):g} s. Open another stream."
            ) from None
        finally:
            self._silent.pop(timeout, None)

    def _end_one(self) -> None:
        """Make room for the next attempt to open a stream."""
        for timeout, began in islice(self._silent.items(), 1):
            timeout.reschedule(max(began + STREAM_PATIENCE_S, asyncio.get_running_loop().time()))


class Reading(asyncio.Semaphore):
    """Places for messages that may be arriving.

    A call that sends nothing has its place until its deadline, or until another call waits for one.
    """

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self._wanted = 0  # by so many calls
        self._began: dict[asyncio.Timeout, float] = {}  # in the order of these times

    async def read(self, read: Callable[[], Awaitable[Message]]) -> Message:
        """Wait for a place and read a message.

        Raises:
            SlowBody: the message did not arrive in time, and others wait for its place.
        """
        await self._take_place()
        try:
            async with asyncio.timeout(None) as timeout:
                self._began[timeout] = asyncio.get_running_loop().time()
                self._hurry()
                return await read()
        except TimeoutError:
            raise SlowBody(
                f"The message did not arrive within {PATIENCE_S:g} s while other calls waited."
            ) from None
        finally:
            self._began.pop(timeout, None)
            self.release()

    async def _take_place(self) -> None:
        self._wanted += 1
        try:
            if self.locked():
                self._hurry()
            await self.acquire()
        finally:
            self._wanted -= 1

    def _hurry(self) -> None:
        """Limit the time of as many calls, of those that read for longest, as places are wanted."""
        now = asyncio.get_running_loop().time()
        for timeout, began in islice(self._began.items(), self._wanted):
            if timeout.when() is None:
                timeout.reschedule(max(now, began + PATIENCE_S))


class GrpcLimits:
    """Slots for calls and streams, and for reading messages.

    Half of the memory is for the messages of calls, half for those of streams. A stream keeps its
    slot while it is open, because its next message can arrive at any time. A call
    needs one only until its message has arrived, so it waits for a free one.
    """

    def __init__(self, max_calls: int, limit_bytes: int, message_bytes: int) -> None:
        half = max(MIN_SLOTS, limit_bytes // message_bytes // 2)
        self.calls = Slots(max_calls, "calls in flight")
        self.streams = Streams(half)
        self.reading = Reading(half)
