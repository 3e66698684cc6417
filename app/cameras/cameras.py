"""All cameras, as long as the service lives."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Self

from app.cameras.broadcast import Broadcast, Message, Subscription
from app.cameras.camera import Camera, Means
from app.cameras.event import Event
from app.cameras.frame_turns import FrameTurns
from app.cameras.settings import CameraSettings, read_cameras
from app.cameras.sources.opening import open_source
from app.cameras.status import CameraStatus
from app.errors import NotFound
from app.inference.classify import Classifier
from app.service.gateway import Gateway

MAX_RECENT = 200

log = logging.getLogger(__name__)


class Cameras:
    """What lives as long as the service for its cameras; event loop only."""

    def __init__(self, gateway: Gateway, settings: Mapping[str, CameraSettings]) -> None:
        """Open nothing yet.

        Raises:
            SettingError: a password cannot be read, or a source needs what is not installed.
        """
        plain = gateway.classifier
        means = Means(
            store=gateway.store,
            scheduler=gateway.scheduler,
            # One core a frame; `auto` reckons with requests only.
            classifier=Classifier(
                plain.limits,
                plain.reduced_decode,
                plain.batcher,
                memory=plain.memory,
                helper=plain.helper,
            ),
            turns=FrameTurns(gateway.scheduler, gateway.lifecycle),
            send=self._send,
        )
        self._recent: deque[Event] = deque(maxlen=MAX_RECENT)
        self._broadcast = Broadcast()
        self._cameras = {
            name: Camera(name, one, open_source(name, one, plain), means)
            for name, one in settings.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def open(cls, gateway: Gateway) -> Self:
        """The cameras of the service's settings.

        Raises:
            SettingError: a table is not valid, or a source cannot be used.
        """
        return cls(gateway, read_cameras(gateway.settings.tables))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all cameras, in the order of the settings."""
        return tuple(self._cameras)

    def status(self, name: str) -> CameraStatus:
        """What is known of a camera; raises `NotFound` if there is none of that name."""
        return self._get(name).status()

    def newest_jpeg(self, name: str) -> bytes | None:
        """The newest frame as JPEG, turned as it is looked at; None before the first one.

        Encodes a frame that did not arrive as JPEG, which takes milliseconds: call it on a thread.

        Raises:
            NotFound: there is no camera of that name.
        """
        return self._get(name).newest_jpeg()

    def recent(self, limit: int = MAX_RECENT) -> list[Event]:
        """The last events, the newest last."""
        return list(self._recent)[-limit:] if limit > 0 else []

    def subscribe(self) -> AbstractContextManager[Subscription]:
        """Listen to events and to changes of status, from now on."""
        return self._broadcast.subscribe()

    def start(self) -> None:
        """Connect to all cameras, in the running event loop."""
        self._tasks = [asyncio.create_task(one.run()) for one in self._cameras.values()]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Disconnect from all cameras, and end all subscriptions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._broadcast.close()

    def _get(self, name: str) -> Camera:
        try:
            return self._cameras[name]
        except KeyError:
            known = ", ".join(self.names) or "none"
            raise NotFound(f"Unknown camera {name[:100]!a}. Cameras: {known}.") from None

    def _send(self, message: Message) -> None:
        if isinstance(message, Event):
            self._recent.append(message)
        self._broadcast.send(message)


def _report(task: asyncio.Task[None]) -> None:
    """Log what ended a task that should not end; without its text, which might hold an address."""
    if not task.cancelled() and (error := task.exception()):
        log.error("A camera ended with %s", type(error).__name__)
