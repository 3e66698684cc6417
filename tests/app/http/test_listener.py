"""Accepting connections, with TLS: a handshake that never comes takes no place for long."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from app.http import listener
from app.http.listener import Listener
from tests.processes import LIVELINESS_S


@pytest.mark.parametrize("limit", [1, 100])
def test_a_handshake_that_does_not_come_ends(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], limit: int
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_S", 0.2)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)

    async def run() -> list[bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            opened = Listener(listening, asyncio.Protocol, set(), limit, tls)
            ends = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                async with asyncio.timeout(LIVELINESS_S):
                    ends.append(await reader.read())
                writer.close()
            opened.close()
            return ends

    assert asyncio.run(run()) == [b"", b""]
