"""A service that answers over HTTP and gRPC, and a client that sends nothing."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from app.settings import Settings
from tests.app.oip.grpc_client import Channel, Silence, free_port
from tests.conftest import SMALL_V1
from tests.serving import served


@pytest.fixture(scope="package")
def both(store: Path) -> Iterator[Channel]:
    port = free_port()
    settings = Settings(
        store=store, default_model=SMALL_V1, grpc_port=port, max_body_bytes=500_000, max_images=8
    )
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Channel(client, channel, port)


@pytest.fixture
def silence() -> Iterator[Silence]:
    silence = Silence()
    yield silence
    silence.end()
