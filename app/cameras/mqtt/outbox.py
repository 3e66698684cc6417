"""What is to be sent to the broker: of each retained topic only the newest payload."""

import asyncio
from collections import deque
from dataclasses import dataclass

EVENTS = 64  # that wait while the broker is connected but slow


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker."""

    topic: str
    payload: bytes
    retained: bool


class Outbox:
    """The retained topics with their newest payloads, and a few events; event loop only.

    Small payloads go first, so that no state waits behind the frames of other cameras.
    """

    def __init__(self) -> None:
        self.dropped_events = 0
        self._connected = False
        self._retained: dict[str, bytes] = {}
        self._due: dict[str, None] = {}  # an ordered set of topics
        self._due_later: dict[str, None] = {}  # likewise, of large payloads
        self._events: deque[Message] = deque()
        self._changed = asyncio.Event()

    def retain(self, topic: str, payload: bytes, large: bool = False) -> None:
        """Publish this payload as the topic's only one, unless it is that already."""
        if self._retained.get(topic) == payload:
            return
        self._retained[topic] = payload
        self._mark(topic, large)

    def forget(self, topic: str) -> None:
        """Clear what the broker retains of a topic."""
        self._retained[topic] = b""
        self._mark(topic, large=False)

    def resend(self, topic: str) -> None:
        """Send a retained payload again."""
        if topic in self._retained:
            self._mark(topic, large=False)

    def add_event(self, topic: str, payload: bytes) -> None:
        """Send a payload once; without a connection it is lost, as is the oldest of too many."""
        if not self._connected:
            self.dropped_events += 1
            return
        if len(self._events) >= EVENTS:
            self._events.popleft()
            self.dropped_events += 1
        self._events.append(Message(topic, payload, retained=False))
        self._changed.set()

    def start_again(self) -> None:
        """Send every retained topic, after a new connection: the broker may have lost them.

        Topics that were cleared are cleared again.
        """
        self._connected = True
        for topic in self._retained:
            if topic not in self._due_later:
                self._due[topic] = None
        self._changed.set()

    def pause(self) -> None:
        """Let no events wait for the next connection: they would be old."""
        self._connected = False
        self.dropped_events += len(self._events)
        self._events.clear()

    async def next(self) -> Message:
        """The next message; waits for one."""
        while True:
            if self._due:
                return self._take(self._due)
            if self._events:
                return self._events.popleft()
            if self._due_later:
                return self._take(self._due_later)
            self._changed.clear()
            await self._changed.wait()

    @property
    def waiting(self) -> int:
        """Messages that wait to be sent."""
        return len(self._due) + len(self._due_later) + len(self._events)

    def _take(self, due: dict[str, None]) -> Message:
        topic = next(iter(due))
        del due[topic]
        return Message(topic, self._retained[topic], retained=True)

    def _mark(self, topic: str, large: bool) -> None:
        (self._due_later if large else self._due)[topic] = None
        self._changed.set()
