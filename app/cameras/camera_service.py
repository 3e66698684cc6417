"""Cameras and all that listens to them, composed from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from app.cameras.cameras import Cameras
from app.cameras.settings import CameraSettings, read_cameras
from app.errors import RequestError, SettingError
from app.service.gateway import Gateway

if TYPE_CHECKING:
    from app.cameras.mqtt.publisher import Publisher

INSTALL_MQTT = (
    "[mqtt] needs the module {0}, which is not installed. "
    "In a checkout, install it with `pip install '.[mqtt]'`."
)


@dataclass(frozen=True, slots=True)
class CameraService:
    """Lives as long as the service; event loop only."""

    cameras: Cameras
    publisher: "Publisher | None"

    def start(self) -> None:
        """Connect to cameras and broker."""
        if self.publisher:
            self.publisher.start()
        self.cameras.start()

    async def stop(self) -> None:
        """Disconnect from all; the broker hears of it."""
        await self.cameras.stop()
        if self.publisher:
            await self.publisher.stop()


def open_camera_service(gateway: Gateway) -> CameraService:
    """The cameras of the service's settings, and what they tell.

    Raises:
        SettingError: a table is not valid, or needs what is not installed.
    """
    tables = gateway.settings.tables
    cameras = read_cameras(tables)
    opened = Cameras(gateway, cameras)
    return CameraService(opened, _open_publisher(gateway, cameras, opened, tables.get("mqtt")))


def _open_publisher(
    gateway: Gateway, settings: Mapping[str, CameraSettings], cameras: Cameras, table: Any
) -> "Publisher | None":
    if table is None:
        return None
    from app.cameras.mqtt.settings import read_mqtt

    mqtt = read_mqtt(table)
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
