"""The table [mqtt]."""

from pathlib import Path
from typing import Any

import pytest

from app.cameras.mqtt.settings import MqttSettings
from app.cameras.settings import read_table
from app.errors import SettingError


def read_mqtt(table: Any) -> MqttSettings:
    return read_table("mqtt", MqttSettings, table)


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("mqtt://broker", "broker", 1883, "mqtt://broker:1883"),
        ("mqtt://127.0.0.1:99", "127.0.0.1", 99, "mqtt://127.0.0.1:99"),
        ("mqtts://broker/", "broker", 8883, "mqtts://broker:8883"),
        ("mqtt://[::1]:1884", "::1", 1884, "mqtt://[::1]:1884"),
    ],
)
def test_the_address_of_a_broker(url: str, host: str, port: int, shown: str) -> None:
    broker = read_mqtt({"url": url}).broker()
    assert (broker.host, broker.port, str(broker)) == (host, port, shown)
    assert (broker.tls is not None) == url.startswith("mqtts")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "mqtt.url: Field required"),
        ({"url": "broker:1883"}, "write mqtt://HOST:PORT"),
        ({"url": "http://broker"}, "write mqtt://HOST:PORT"),
        ({"url": "mqtt://broker/path"}, "write mqtt://HOST:PORT"),
        ({"url": "mqtt://broker:0"}, "write mqtt://HOST:PORT"),
        ({"url": "mqtt://broker:70000"}, "not a number up to 65535"),
        ({"url": "mqtt://me:hidden@broker"}, "set user and password_file"),
        ({"url": "mqtt://broker", "pasword": "hidden"}, "Did you mean password?"),
        ({"url": "mqtt://broker", "password": "hidden"}, "a password needs a user"),
        ({"url": "mqtt://broker", "ca_file": "/ca.pem"}, "need an address with mqtts://"),
        (
            {"url": "mqtts://broker", "client_key": "/key.pem"},
            "set both client_cert and client_key",
        ),
        ({"url": "mqtt://broker", "topic": "home/#"}, "mqtt.topic"),
        ({"url": "mqtt://broker", "topic": "home/"}, "empty level"),
        ({"url": "mqtt://broker", "topic": "$SYS/x"}, "mqtt.topic"),
        ({"url": "mqtt://broker", "frame_interval_s": -1}, "mqtt.frame_interval_s"),
        ([], "write a table [mqtt]"),
    ],
)
def test_a_mistake_is_named_without_the_password(table: Any, text: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_mqtt(table)
    assert text in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("setting", ["password_file", "ca_file", "client_cert"])
def test_a_file_that_cannot_be_used_is_named(setting: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path / "empty"):
        if path.name == "empty":
            path.write_bytes(b"")
        table = {"url": "mqtts://broker", "user": "me", setting: str(path)}
        if setting == "client_cert":
            table["client_key"] = str(path)
        with pytest.raises(SettingError, match=f"mqtt.{setting}: .*{path}"):
            read_mqtt(table).broker()
