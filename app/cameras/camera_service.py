"""Cameras and all that listens to them, composed from the settings."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from app.cameras.cameras import Cameras
from app.cameras.event_file import EventFile, EventFileSettings
from app.cameras.memory import cameras_bytes, warn_if_short
from app.cameras.mqtt.settings import MqttSettings
from app.cameras.settings import CameraSettings, read_cameras, read_table
from app.errors import RequestError, SettingError
from app.service.gateway import Gateway
from app.telemetry.camera_metrics import Sample

if TYPE_CHECKING:
    from app.cameras.mqtt.publisher import Publisher

INSTALL_MQTT = (
    "[mqtt] needs the module {0}, which is not installed. "
    "In a checkout, install it with `pip install '.[mqtt]'`."
)


@dataclass(slots=True)
class CameraService:
    """Lives as long as the service; event loop only."""

    cameras: Cameras
    publisher: "Publisher | None" = None
    event_file: EventFile | None = None
    listeners: int = 0  # to GET /events
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Connect to cameras and broker."""
        if self.event_file:
            self._tasks.append(asyncio.create_task(self._write(self.event_file)))
        if self.publisher:
            self.publisher.start()
        self.cameras.start()

    async def stop(self) -> None:
        """Disconnect from all; the broker hears of it."""
        await self.cameras.stop()  # which ends all subscriptions
        await asyncio.gather(*self._tasks)
        if self.publisher:
            await self.publisher.stop()

    def samples(self) -> Iterator[Sample]:
        """What the metrics are now."""
        for name in self.cameras.names:
            status, of = self.cameras.status(name), (name,)
            yield "camera_frames", of, status.frames_seen
            yield "camera_frames_unchanged", of, status.frames_unchanged
            yield "camera_frames_dropped", of, status.frames_dropped
            yield "camera_frames_failed", of, status.frames_failed
            yield "camera_reconnects", of, status.reconnects
            yield "camera_connected", of, status.connected
            if status.frame_age_ms is not None:
                yield "camera_frame_age_seconds", of, status.frame_age_ms / 1000
        if self.publisher:
            yield "mqtt_connections", (), self.publisher.connection.connections
            yield "mqtt_events_lost", (), self.publisher.outbox.dropped_events
            yield "mqtt_connected", (), self.publisher.connection.connected

    async def _write(self, file: EventFile) -> None:
        with self.cameras.subscribe() as subscription:
            await file.follow(subscription)


def open_camera_service(gateway: Gateway) -> CameraService:
    """The cameras of the service's settings, and what they tell.

    Raises:
        SettingError: a table is not valid, or needs what is not installed.
    """
    tables = gateway.settings.tables
    settings = read_cameras(tables)
    cameras = Cameras(gateway, settings)
    service = CameraService(cameras)
    if "events" in tables:
        service.event_file = EventFile.open(
            read_table("events", EventFileSettings, tables["events"])
        )
    mqtt = None
    if "mqtt" in tables:
        mqtt = read_table("mqtt", MqttSettings, tables["mqtt"])
        service.publisher = _open_publisher(gateway, settings, cameras, mqtt)
    published = mqtt is not None and mqtt.frame_interval_s > 0
    warn_if_short(gateway.settings, gateway.scheduler.workers, cameras_bytes(settings, published))
    gateway.metrics.cameras.read = service.samples
    return service


def _open_publisher(
    gateway: Gateway, settings: Mapping[str, CameraSettings], cameras: Cameras, mqtt: MqttSettings
) -> "Publisher":
    try:
        from app.cameras.mqtt.publisher import Publisher  # of an optional extra
    except ModuleNotFoundError as error:
        raise SettingError(INSTALL_MQTT.format(error.name)) from error
    return Publisher.open(cameras, mqtt, partial(_labels, gateway, settings))


def _labels(
    gateway: Gateway, settings: Mapping[str, CameraSettings], camera: str
) -> tuple[str, ...] | None:
    """The labels that a camera can show; None while its model is not loaded."""
    try:
        known = gateway.store.get(settings[camera].model).card.labels
    except RequestError:
        return None
    wanted = settings[camera].labels
    return tuple(label for label in known if not wanted or label in wanted)
