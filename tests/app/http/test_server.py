"""Listening, and what to say where that is not possible; the rest needs a process of its own."""

import errno
import os
import socket
import ssl
from pathlib import Path

import pytest
import uvicorn

from app.errors import SettingError
from app.http.server import address, bind, tls_error, warn_if_reachable
from app.settings import Settings


def config(host: str, port: int = 0) -> uvicorn.Config:
    return uvicorn.Config("none", host=host, port=port)


def test_a_free_port_is_taken_and_shown() -> None:
    chosen = config("127.0.0.1")
    with bind(chosen) as listening:
        port = listening.getsockname()[1]
        assert port > 0
        assert address(chosen, listening) == f"http://127.0.0.1:{port}"


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    chosen = config("::1")
    try:
        listening = bind(chosen)
    except SettingError as error:
        pytest.skip(f"needs IPv6: {error}")
    with listening:
        assert address(chosen, listening).startswith("http://[::1]:")


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(SettingError, match=r"Cannot listen on 192\.0\.2\.1 port 0"):
        bind(config("192.0.2.1"))


def test_a_port_that_is_taken_is_named() -> None:
    with bind(config("127.0.0.1")) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"port {port}: Address already in use"):
            bind(config("127.0.0.1", port))


@pytest.mark.parametrize(
    ("url", "reachable"),
    [
        ("http://0.0.0.0:8000", True),
        ("http://192.168.1.10:8000", True),
        ("https://[::]:8000", True),
        ("http://[2001:db8::1]:8000", True),
        ("http://[::ffff:192.168.1.10]:8000", True),
        ("http://127.0.0.1:8000", False),
        ("https://127.9.9.9:443", False),
        ("http://[::1]:8000", False),
        ("http://[::ffff:127.0.0.1]:8000", False),
    ],
)
def test_an_address_that_others_reach_is_warned_of(
    url: str, reachable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_reachable(url)
    assert [url in record.getMessage() for record in caplog.records] == [True] * reachable


def test_who_must_be_able_to_read_a_certificate_is_said(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path in (cert, key):
        path.touch()
    settings = Settings(tls_cert=cert, tls_key=key)
    said = str(tls_error(settings, PermissionError(errno.EACCES, "Permission denied")))
    assert said.startswith(
        f"Cannot use tls_cert {cert} and tls_key {key}: Permission denied. User "
    )
    assert f" {os.getuid()}, " in said
    other = str(tls_error(settings, ssl.SSLError(1, "key values mismatch")))
    assert other.endswith(": key values mismatch")
    assert "User" not in other
