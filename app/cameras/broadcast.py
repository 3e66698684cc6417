"""Events and changed states for everybody who listens, without a queue that can grow."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from app.cameras.event import Event
from app.cameras.status import CameraStatus

Message = Event | CameraStatus
MAX_WAITING = 100


class Subscription:
    """Messages for one listener, oldest first; event loop only.

    Of more than `MAX_WAITING` the oldest are lost, and counted in `lost`.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def put(self, message: Message) -> None:
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(message)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration once what waits is read."""
        self._closed = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()


class Broadcast:
    """All subscriptions; event loop only."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._closed = False

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        subscription = Subscription()
        if self._closed:
            subscription.close()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def send(self, message: Message) -> None:
        for subscription in self._subscriptions:
            subscription.put(message)

    def close(self) -> None:
        """End all iterations, now and later."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
