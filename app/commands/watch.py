"""`mobilenet-gateway watch`: watch one camera here, without a server or a settings file."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from app.errors import SettingError
from app.settings_sources import load_settings
from app.system.first_done import first_done

if TYPE_CHECKING:
    from app.cameras.broadcast import Message, Subscription
    from app.cameras.camera_service import CameraService
    from app.cameras.status import CameraStatus

NAME = "camera"  # in events and topics
END_SHARE = 2 / 3  # of the probability at which a label starts, as by default
LIVE_S = 0.5  # between two updates of the line with the present state
CLEAR = "\r\x1b[2K"
# What the settings of the tables are called here.
OPTIONS = {f"cameras.{NAME}.": "--", "mqtt.url": "--mqtt", "_": "-"}


def watch(
    source: Annotated[
        str,
        typer.Option(help="Address of the camera, or a folder.", show_default=False),
    ],
    model: Annotated[str | None, typer.Option(help="A model or taught head of the store.")] = None,
    frames_per_s: Annotated[
        float | None, typer.Option(help="Maximum number of frames to look at in a second.")
    ] = None,
    start_probability: Annotated[
        float | None, typer.Option(help="Probability at which a label can start [default: 0.6].")
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(help="Broker to tell, such as mqtt://HOST; needs no password.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the .onnx files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as lines of JSON.")] = False,
) -> None:
    """Print what happens in front of a camera, until Ctrl-C."""
    camera = {
        "source": _absolute(source),
        "model": model,
        "frames_per_s": frames_per_s,
        "start_probability": start_probability,
        "end_probability": start_probability and start_probability * END_SHARE,
    }
    tables: dict[str, Any] = {
        "cameras": {NAME: {name: value for name, value in camera.items() if value is not None}}
    }
    if mqtt is not None:
        tables["mqtt"] = {"url": mqtt}
    settings = load_settings({"store": store} if store else {}).with_tables(tables)
    _check(tables)
    from app.cameras.camera_service import open_camera_service
    from app.service.gateway import open_gateway
    from app.telemetry import log

    log.set_up("plain", "error")
    gateway = open_gateway(settings)
    try:
        gateway.store.get(model)
        service = open_camera_service(gateway)
        asyncio.run(_watch(service, JsonLines() if as_json else Lines()))
    except BrokenPipeError:  # `| head`; keep Python from flushing into it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        gateway.close()


class JsonLines:
    """Events for programs, one a line."""

    def show(self, message: "Message") -> None:
        from app.cameras.event import Event, fields

        if isinstance(message, Event):
            print(json.dumps(fields(message)), flush=True)

    def refresh(self, status: "CameraStatus") -> None:
        """Programs want no present state."""

    def close(self) -> None:
        """Nothing is left on the line."""


class Lines:
    """Events for people, with the present state below them if there is a terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._error: str | None = None

    def show(self, message: "Message") -> None:
        from app.cameras.event import Event
        from app.commands.console import printable

        if isinstance(message, Event):
            at = (message.ended_at or message.started_at).astimezone()
            label = printable(message.label)
            percent = f"  {message.probability:.0%}" if message.state == "start" else ""
            self._print(f"{at:%H:%M:%S}  {message.state:5}  {label}{percent}")
        elif message.error != self._error:
            self._error = message.error
            self._print(printable(message.error or f"Connected to {message.source.address}."))

    def refresh(self, status: "CameraStatus") -> None:
        """Write the present state over the one before."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(CLEAR + summary(status)[:width])
            self._out.flush()

    def close(self) -> None:
        if self._live:
            self._out.write(CLEAR)
            self._out.flush()

    def _print(self, line: str) -> None:
        self._out.write(f"{CLEAR if self._live else ''}{line}\n")
        self._out.flush()


def summary(status: "CameraStatus") -> str:
    """The present state in a line, without characters that control a terminal."""
    from app.commands.console import printable

    if status.error:
        return printable(status.error)
    label = printable(status.label) if status.label else "no label yet"
    percent = f" {status.probability:.0%}" if status.probability is not None else ""
    return (
        f"{label}{percent} | {status.frames_per_s:.1f} frames/s | {status.frames_seen} frames, "
        f"{status.frames_unchanged} unchanged, {status.frames_dropped} dropped"
    )


async def _watch(service: "CameraService", output: JsonLines | Lines) -> None:
    """Show what happens until a signal comes."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    with service.cameras.subscribe() as subscription:
        service.start()
        try:
            await first_done(
                _show(subscription, output), _refresh(service, output), stopping.wait()
            )
        finally:
            await service.stop()
    output.close()


async def _show(subscription: "Subscription", output: JsonLines | Lines) -> None:
    async for message in subscription:
        output.show(message)


async def _refresh(service: "CameraService", output: JsonLines | Lines) -> None:
    while True:
        output.refresh(service.cameras.status(NAME))
        await asyncio.sleep(LIVE_S)


def _absolute(source: str) -> str:
    """A folder may be named from here; the settings want its whole path."""
    return str(Path(source).absolute()) if "://" not in source and source else source


def _check(tables: Mapping[str, Any]) -> None:
    """Check the options before models are loaded, which takes a while.

    Raises:
        SettingError: one is not valid; the text names it as it is typed.
    """
    from app.cameras.mqtt.settings import MqttSettings
    from app.cameras.settings import read_cameras, read_table

    try:
        read_cameras(tables)
        if "mqtt" in tables:
            read_table("mqtt", MqttSettings, tables["mqtt"])
    except SettingError as error:
        setting, colon, reason = str(error).partition(":")
        for prefix, option in OPTIONS.items():
            setting = setting.replace(prefix, option)
        raise SettingError(f"{setting}{colon}{reason}") from error
