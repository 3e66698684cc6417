"""What a real broker has of the cameras, whatever happens to it and to us."""

import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cameras.mqtt import connection
from app.cameras.mqtt.outbox import EVENTS
from app.errors import DamagedImage
from tests.app.cameras.mqtt.mosquitto import Mosquitto, Reader, mosquitto, reading
from tests.app.cameras.mqtt.steered import publishing
from tests.processes import until

BASE = "mobilenet-gateway"
CONFIG = f"homeassistant/device/{BASE}/config"
STATUS, STATE, EVENT = f"{BASE}/status", f"{BASE}/gate/state", f"{BASE}/gate/event"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, so that no test waits for the pauses to grow."""
    monkeypatch.setattr(connection, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.1)


def label_of(reader: Reader) -> Any:
    return json.loads(reader.newest.get(STATE, b"{}")).get("label")


def test_a_new_subscriber_sees_each_camera_at_once(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate", "yard") as running:
        running.call(running.cameras.show, "gate", "open", 0.98765)
        running.call(running.cameras.change, "yard", connected=False)
        with reading(broker.port, f"{BASE}/#") as reader:
            until(lambda: label_of(reader) == "open", "the state arrives")
            until(
                lambda: reader.newest.get(f"{BASE}/yard/availability") == b"offline",
                "the other camera is offline",
            )
            assert json.loads(reader.newest[STATE]) == {
                "camera": "gate",
                "label": "open",
                "probability": 0.9877,
                "since": "2026-11-30T12:00:00.000+00:00",
                "model": "gate",
            }
            assert json.loads(reader.newest[f"{BASE}/yard/state"])["label"] is None
            assert reader.newest[f"{BASE}/gate/availability"] == b"online"
            assert reader.newest[STATUS] == b"online"
            assert EVENT not in reader.newest  # events are news, not states


def test_an_event_is_published_once_and_says_what_started(broker: Mosquitto) -> None:
    with reading(broker.port, EVENT) as reader, publishing(broker.port, "gate") as running:
        until(lambda: running.publisher.connection.connected, "connected")
        until(lambda: not running.call(lambda: running.publisher.outbox.waiting), "all sent")
        running.call(running.cameras.show, "gate", "Tür \x07 zu")
        until(lambda: reader.messages, "the event arrives")
        [(_, payload, retained)] = reader.messages
    assert not retained
    assert json.loads(payload) == {
        "event_type": "start",
        "id": "1",
        "camera": "gate",
        "model": "gate",
        "label": "Tür \x07 zu",
        "probability": 0.9,
        "started_at": "2026-11-30T12:00:00.000+00:00",
        "ended_at": None,
    }


@pytest.mark.usefixtures("quick_pauses")
def test_a_broker_that_is_killed_has_all_states_after_its_return_and_nothing_old(
    broker: Mosquitto,
) -> None:
    with publishing(broker.port, "gate", "yard", frame_interval_s=0.1) as running:
        cameras, outbox = running.cameras, running.publisher.outbox
        running.call(cameras.frames.update, {"gate": b"\xff\xd8 first"})
        running.call(cameras.show, "gate", "open")
        with reading(broker.port) as reader:
            until(lambda: label_of(reader) == "open", "the state arrives")
            until(lambda: f"{BASE}/gate/frame" in reader.newest, "the frame arrives")
        broker.kill()
        until(lambda: not running.publisher.connection.connected, "the loss is noticed")
        for number in range(1000):
            running.call(cameras.show, "gate", f"label {number}")
            running.call(cameras.frames.update, {"gate": b"\xff\xd8 %d" % number})
        until(lambda: not cameras.broadcast._subscriptions[0]._waiting, "all is read")
        assert running.call(lambda: outbox.waiting) <= 2 + 2 * 3 + EVENTS
        running.call(cameras.show, "gate", "shut")
        broker.start()
        with reading(broker.port) as reader:
            until(lambda: label_of(reader) == "shut", "the state is right again")
            until(
                lambda: reader.newest.get(f"{BASE}/gate/frame") == b"\xff\xd8 999",
                "so is the frame",
            )
            until(lambda: f"{BASE}/yard/state" in reader.newest, "all cameras are there")
            assert reader.newest[STATUS] == b"online"
            assert json.loads(reader.newest[CONFIG])["device"]["identifiers"] == [BASE]
            topics = [topic for topic, _, _ in reader.messages]
            assert topics.count(STATE) <= 2  # the newest, and once more if it was just changing
            assert EVENT not in topics


def test_a_damaged_frame_leaves_states_and_later_frames(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate", frame_interval_s=0.1) as running:
        running.call(running.cameras.frames.update, {"gate": DamagedImage("It is cut off.")})
        until(lambda: running.cameras.damaged, "the frame is tried")
        running.call(running.cameras.show, "gate", "open")
        running.call(running.cameras.frames.update, {"gate": b"\xff\xd8 whole"})
        with reading(broker.port) as reader:
            until(lambda: label_of(reader) == "open", "the state arrives")
            frame = f"{BASE}/gate/frame"
            until(lambda: reader.newest.get(frame) == b"\xff\xd8 whole", "so does the frame")


@pytest.mark.usefixtures("quick_pauses")
def test_a_broker_that_hangs_is_left_and_found_again(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    with publishing(broker.port, "gate") as running:
        until(lambda: running.publisher.connection.connected, "connected")
        os.kill(broker.pid, signal.SIGSTOP)
        running.call(running.cameras.show, "gate", "open")
        until(lambda: not running.publisher.connection.connected, "it is left")
        running.call(running.cameras.show, "gate", "shut")
        os.kill(broker.pid, signal.SIGCONT)
        with reading(broker.port) as reader:
            until(lambda: label_of(reader) == "shut", "the state is right again")
            until(lambda: reader.newest.get(STATUS) == b"online", "the gateway is online")


@pytest.mark.usefixtures("quick_pauses")
def test_a_gateway_that_vanishes_is_offline_by_its_last_will(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate") as running, reading(broker.port, STATUS) as reader:
        until(lambda: reader.newest.get(STATUS) == b"online", "it is online")
        before = len(reader.messages)
        running.call(running.cut_off)
        until(lambda: len(reader.messages) >= before + 2, "it was offline, and is back")
        assert [payload for _, payload, _ in reader.messages[before:]] == [b"offline", b"online"]


def test_a_gateway_that_stops_says_so_itself(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate"), reading(broker.port, STATUS) as reader:
        until(lambda: reader.newest.get(STATUS) == b"online", "it is online")
    with reading(broker.port, STATUS) as reader:
        until(lambda: reader.newest.get(STATUS) == b"offline", "it is offline")


def test_home_assistant_is_told_again_when_it_starts(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate"), reading(broker.port, CONFIG) as reader:
        until(lambda: CONFIG in reader.newest, "the configuration arrives")
        before = len(reader.messages)
        reader.publish("homeassistant/status", b"offline")
        reader.publish("homeassistant/status", b"online")
        until(lambda: len(reader.messages) > before, "it arrives again")
        assert json.loads(reader.messages[-1][1])["components"].keys() >= {"gate_label"}


def test_what_a_removed_camera_left_behind_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        with publishing(broker.port, "gate", "yard", frame_interval_s=1) as running:
            running.call(running.cameras.frames.update, {"yard": b"\xff\xd8"})
            with reading(broker.port) as reader:
                until(lambda: f"{BASE}/yard/frame" in reader.newest, "all is there")
                foreign = f"{BASE}/heating/state", b'{"camera":"heating","on":true}'
                reader.publish(*foreign, retain=True)
        with reading(broker.port) as reader, publishing(broker.port, "gate"):
            yard = [f"{BASE}/yard/{part}" for part in ("state", "availability", "frame")]
            until(lambda: all(reader.newest.get(topic) == b"" for topic in yard), "cleared")
            gone = {"yard_label": {"platform": "sensor"}, "yard_frame": {"platform": "image"}}

            def removed() -> bool:
                sent = [
                    json.loads(text)
                    for topic, text, kept in reader.messages
                    if topic == CONFIG and not kept
                ]
                return any(each["components"].items() >= gone.items() for each in sent)

            until(removed, "Home Assistant is told to remove its entities")
        with reading(broker.port) as reader:
            until(lambda: STATE in reader.newest and CONFIG in reader.newest, "the rest is there")
            assert not [topic for topic in reader.newest if "yard" in topic]
            assert reader.newest[foreign[0]] == foreign[1]
            components = json.loads(reader.newest[CONFIG])["components"]
            assert not [key for key in components if key.startswith("yard")]


def test_a_head_that_is_taught_another_label_gets_another_entity(broker: Mosquitto) -> None:
    with publishing(broker.port, "gate") as running, reading(broker.port, CONFIG) as reader:
        until(lambda: CONFIG in reader.newest, "the configuration arrives")
        running.call(running.relabel, ("open", "ajar"))

        def names() -> set[str]:
            found = json.loads(reader.newest[CONFIG])["components"].values()
            return {each["name"] for each in found if "name" in each}

        until(lambda: "Gate ajar" in names(), "the new label has an entity")
        assert names() >= {"Gate open", "Gate ajar"}
        assert not names() & {"Gate shut", "Gate unknown"}


@pytest.mark.usefixtures("quick_pauses")
def test_a_wrong_password_is_logged_once_with_what_to_check(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    password = tmp_path / "password"
    password.write_text("wrong\n")
    passwords = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-b", "-c", str(passwords), "me", "right"]
    if shutil.which(command[0]) is None:
        pytest.skip("needs mosquitto_passwd: apt-get install mosquitto")
    subprocess.run(command, check=True)
    with (
        mosquitto(tmp_path, f"password_file {passwords}") as broker,
        publishing(broker.port, "gate", user="me", password_file=password) as running,
    ):
        until(lambda: broker.log.count("not authorised") >= 3, "it tried again and again")
        warnings = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert len(warnings) == 1, warnings
        assert "Check `user` and `password_file`" in warnings[0]
        assert "wrong" not in caplog.text
        password.write_text("right\n")
        until(lambda: running.publisher.connection.connected, "the new password is read")


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("quick_pauses")
def test_tls_needs_the_authority_and_takes_a_client_certificate(
    tmp_path: Path,
    certificate: tuple[Path, Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 1)
    cert, key = certificate
    lines = (
        "allow_anonymous true",
        f"cafile {cert}",
        f"certfile {cert}",
        f"keyfile {key}",
        "require_certificate true",
    )
    with mosquitto(tmp_path, *lines) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        known = {"url": url, "ca_file": cert, "client_cert": cert, "client_key": key}
        with publishing(broker.port, "gate", **known) as running:
            until(lambda: running.publisher.connection.connected, "connected with TLS")
        with publishing(broker.port, "gate", **{**known, "ca_file": None}):
            until(lambda: "certificate verify failed" in caplog.text, "the broker is not trusted")
        warned = caplog.text.count("no connection")
        with publishing(broker.port, "gate", url=url, ca_file=cert) as running:
            until(lambda: caplog.text.count("no connection") > warned, "no certificate is shown")
            assert not running.publisher.connection.connected
