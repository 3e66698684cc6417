"""Cameras that show what a test says, and a publisher that tells a broker of them."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.cameras.broadcast import Broadcast, Subscription
from app.cameras.event import Event
from app.cameras.mqtt.publisher import Publisher
from app.cameras.mqtt.settings import MqttSettings
from app.cameras.status import CameraStatus, SourceStatus
from app.errors import RequestError
from tests.processes import LIVELINESS_S

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LABELS = ("open", "shut", "unknown")
Result = TypeVar("Result")


def shown(name: str, **changes: Any) -> CameraStatus:
    """A camera before it has shown anything."""
    source = SourceStatus(kind="folder", address="/photos")
    status = CameraStatus(
        name=name, source=source, model="gate", connected=True, error=None, label=None,
        probability=None, since=None, frames_per_s=5.0, frame_age_ms=10.0, stale_after_ms=10_000.0,
        frames_seen=0, frames_unchanged=0, frames_dropped=0, frames_failed=0, reconnects=0,
    )  # fmt: skip
    return status.model_copy(update=changes)


@dataclass
class SteeredCameras:
    """What a test decides instead of sources and models; event loop only."""

    states: dict[str, CameraStatus]
    frames: dict[str, bytes | RequestError] = field(default_factory=dict)
    damaged: int = 0  # frames that were asked for and could not be had
    broadcast: Broadcast = field(default_factory=Broadcast)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.states)

    def status(self, name: str) -> CameraStatus:
        return self.states[name]

    def newest_jpeg(self, name: str) -> bytes | None:
        frame = self.frames.get(name)
        if isinstance(frame, RequestError):
            self.damaged += 1
            raise frame
        return frame

    def subscribe(self) -> AbstractContextManager[Subscription]:
        return self.broadcast.subscribe()

    def show(self, name: str, label: str, probability: float = 0.9) -> None:
        """Let a label start."""
        self.states[name] = self.states[name].model_copy(
            update={"label": label, "probability": probability, "since": NOON}
        )
        seen = Event("1", name, "gate", label, "start", probability, NOON)
        self.broadcast.send(seen)
        self.broadcast.send(self.states[name])

    def change(self, name: str, **changes: Any) -> None:
        """Let something but the label change."""
        self.states[name] = self.states[name].model_copy(update=changes)
        self.broadcast.send(self.states[name])


class Running:
    """A publisher on an event loop of its own."""

    def __init__(self, cameras: SteeredCameras, publisher: Publisher, loop: Any) -> None:
        self.cameras, self.publisher, self._loop = cameras, publisher, loop
        self.labels: tuple[str, ...] = LABELS

    def relabel(self, labels: tuple[str, ...]) -> None:
        """Let the model have other labels."""
        self.labels = labels

    def call(self, function: Callable[..., Result], *given: Any, **named: Any) -> Result:
        """Call a function on the event loop."""

        async def run() -> Result:
            return function(*given, **named)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(LIVELINESS_S)

    def cut_off(self) -> None:
        """End the connection without a word, as the kernel does when the process is killed."""
        client = self.publisher.connection.client
        assert client
        client._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # connected

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.publisher.stop(), self._loop).result(LIVELINESS_S)


@contextmanager
def publishing(port: int, *names: str, **settings: Any) -> Iterator[Running]:
    """A publisher of these cameras, stopped at the end."""
    given = MqttSettings(**{"url": f"mqtt://127.0.0.1:{port}", **settings})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def open_all() -> Running:
        cameras = SteeredCameras({name: shown(name) for name in names})
        publisher = Publisher.open(cameras, given, lambda _: running.labels)
        running = Running(cameras, publisher, loop)
        publisher.start()
        return running

    running = asyncio.run_coroutine_threadsafe(open_all(), loop).result(LIVELINESS_S)
    try:
        yield running
    finally:
        running.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
