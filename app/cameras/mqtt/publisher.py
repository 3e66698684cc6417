"""Tells the broker what the cameras show."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol, Self

from app.cameras.broadcast import Subscription
from app.cameras.event import Event
from app.cameras.mqtt import discovery, payloads
from app.cameras.mqtt.broker import Broker
from app.cameras.mqtt.connection import Connection
from app.cameras.mqtt.outbox import Outbox
from app.cameras.mqtt.settings import MqttSettings
from app.cameras.mqtt.topics import OFFLINE, ONLINE
from app.cameras.status import CameraStatus
from app.errors import RequestError

TICK_S = 0.5  # between two looks at frames and connections
STOP_S = 3.0  # for the last words to the broker

log = logging.getLogger(__name__)
# Of a camera's model; None while the model is not known, such as a head that is not taught yet.
Labels = Callable[[str], tuple[str, ...] | None]


class Watched(Protocol):
    """What the broker is told of."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def status(self, name: str) -> CameraStatus: ...
    def newest_jpeg(self, name: str) -> bytes | None: ...
    def subscribe(self) -> AbstractContextManager[Subscription]: ...


class Publisher:
    """Keeps the topics of all cameras right; lives as long as the service; event loop only."""

    def __init__(
        self, cameras: Watched, broker: Broker, settings: MqttSettings, labels: Labels
    ) -> None:
        self._cameras, self._settings, self._labels = cameras, settings, labels
        self._topics = topics = settings.topics
        self._frame_due = dict.fromkeys(cameras.names, 0.0)
        self.outbox = Outbox()
        self._described: list[discovery.Described] = []
        self._configuration: dict[str, Any] = {}
        self._configuration_topic = ""
        subscriptions: tuple[str, ...] = ()
        once: tuple[str, ...] = (topics.states,)
        if settings.discovery:
            prefix = settings.discovery_prefix
            self._configuration_topic = discovery.configuration_topic(prefix, topics)
            subscriptions = (f"{prefix}/status",)
            once = (self._configuration_topic, *once)
        self.connection = Connection(
            broker, self.outbox, topics.status, OFFLINE, self._receive, subscriptions, once
        )
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def open(cls, cameras: Watched, settings: MqttSettings, labels: Labels) -> Self:
        """A publisher that is not started yet; on the event loop.

        Raises:
            SettingError: a file of the settings cannot be used.
        """
        return cls(cameras, settings.broker(), settings, labels)

    def start(self) -> None:
        """Connect, and publish from now on."""
        self.outbox.retain(self._topics.status, ONLINE)
        self._publish_states()
        self._tasks = [
            asyncio.create_task(self.connection.run()),
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._tick()),
        ]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Say goodbye, for some seconds at most."""
        if not self._tasks:
            return
        connected, *others = self._tasks
        self.connection.stop()
        for task in others:
            task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(connected, STOP_S)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self) -> None:
        """Publish every event, and the state that belongs to it."""
        with self._cameras.subscribe() as subscription:
            async for news in subscription:
                if isinstance(news, Event):
                    topic = self._topics.event(news.camera)
                    self.outbox.add_event(topic, payloads.event(news))
                    self._publish_state(news.camera)
                    await self._publish_frame(news.camera)
                else:
                    self._publish_state(news.name)

    async def _tick(self) -> None:
        """Publish what no event tells of: frames, and labels of a model that was taught anew."""
        while True:
            self._publish_states()
            for name in self._cameras.names:
                if asyncio.get_running_loop().time() >= self._frame_due[name]:
                    await self._publish_frame(name)
            await asyncio.sleep(TICK_S)

    def _publish_states(self) -> None:
        if self._configuration_topic:
            self._publish_configuration()
        for name in self._cameras.names:
            self._publish_state(name)

    def _publish_state(self, name: str) -> None:
        status = self._cameras.status(name)
        connected = ONLINE if status.connected else OFFLINE
        self.outbox.retain(self._topics.state(name), payloads.state(status))
        self.outbox.retain(self._topics.availability(name), connected)

    async def _publish_frame(self, name: str) -> None:
        if not self._settings.frame_interval_s:
            return
        try:
            frame = await asyncio.to_thread(self._cameras.newest_jpeg, name)
        except RequestError:  # damaged: the next one may be whole
            return
        if frame is not None:
            now = asyncio.get_running_loop().time()
            self._frame_due[name] = now + self._settings.frame_interval_s
            self.outbox.retain(self._topics.frame(name), frame, large=True)

    def _publish_configuration(self) -> None:
        described = [discovery.Described(name, self._labels(name)) for name in self._cameras.names]
        if self._configuration and described == self._described:
            return
        self._described = described
        old = discovery.encode(self._configuration)
        self._configuration = discovery.configuration(
            self._topics,
            self._settings.device_name,
            described,
            frames=bool(self._settings.frame_interval_s),
        )
        self._remove_entities(old)
        self.outbox.retain(self._configuration_topic, discovery.encode(self._configuration))

    def _remove_entities(self, old: bytes) -> None:
        """Tell Home Assistant which entities of an old configuration are gone.

        The message is not retained: it is the newest configuration that the broker keeps.
        """
        if removal := discovery.removal(old, self._configuration, self._described):
            self.outbox.add_event(self._configuration_topic, removal)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        """Answer Home Assistant's start, and clear what an earlier configuration left behind."""
        if topic == f"{self._settings.discovery_prefix}/status":
            if payload == b"online":
                self.outbox.resend(self._configuration_topic)
        elif not retained or not payload:
            return
        elif topic == self._configuration_topic:
            self._remove_entities(payload)
        elif (name := self._topics.camera_of_state(topic)) and self._is_left(name, payload):
            log.info("MQTT: removing the topics of camera %s, which is not set.", name)
            for left in self._topics.retained(name):
                self.outbox.forget(left)

    def _is_left(self, name: str, state: bytes) -> bool:
        """Whether it is the state of a camera that is not set any more."""
        return name not in self._cameras.names and payloads.is_state(state, name)


def _report(task: asyncio.Task[None]) -> None:
    """Log what ended a task that should not end."""
    if not task.cancelled() and (error := task.exception()):
        log.error("MQTT: publishing has stopped", exc_info=error)
