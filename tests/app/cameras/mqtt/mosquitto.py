"""A real broker on a free port, which a test can kill and start again."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.processes import LIVELINESS_S, until

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Mosquitto:
    """A broker; what it retains is gone when it is killed, unless `persistent`."""

    folder: Path
    lines: Sequence[str] = ("allow_anonymous true",)
    persistent: bool = False
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert PROGRAM
        lines = [f"listener {self.port} 127.0.0.1", "user root", *self.lines]
        if self.persistent:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_interval 1",
            ]
            lines += ["autosave_on_changes true"]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, ""]), "utf-8")
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-v", "-c", str(config)], stdout=log, stderr=log
            )
        until(self._listens, "mosquitto listens")

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        if self._process:
            self._process.kill()
            self._process.wait(LIVELINESS_S)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text("utf-8", "replace")

    def _listens(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def mosquitto(folder: Path, *lines: str, persistent: bool = False) -> Iterator[Mosquitto]:
    """A running broker in an empty folder."""
    if PROGRAM is None:
        pytest.skip("needs mosquitto: apt-get install mosquitto")
    broker = Mosquitto(folder, lines or ("allow_anonymous true",), persistent)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class Reader:
    """A client that notes what the broker sends: the newest payload of each topic, and all."""

    def __init__(self, port: int, *filters: str) -> None:
        self.newest: dict[str, bytes] = {}
        self.messages: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(each, 1) for each in filters or ("#",)])
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(LIVELINESS_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _: Any, __: Any, message: Any) -> None:
        self.messages.append((message.topic, message.payload, bool(message.retain)))
        self.newest[message.topic] = message.payload


@contextmanager
def reading(port: int, *filters: str) -> Iterator[Reader]:
    """A reader of these topics, or of all."""
    reader = Reader(port, *filters)
    try:
        yield reader
    finally:
        reader.close()
