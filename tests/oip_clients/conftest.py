"""A service with both doors open, and a folder of photos to ask about."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1
from tests.exports import export_random
from tests.processes import running, until

ADMIN_KEY = "the-admin"
ALIAS = "isvc"  # KServe's client asks for the name of its InferenceService
BATCH = 100
GRPC = re.compile(r"gRPC on 127\.0\.0\.1:(\d+)")


class Service(NamedTuple):
    """Where the service is; `predict` asks it by its own API."""

    http: httpx.Client
    grpc_address: str

    @property
    def http_address(self) -> str:
        return f"{self.http.base_url.host}:{self.http.base_url.port}"

    def address(self, protocol: str) -> str:
        return self.http_address if protocol == "http" else self.grpc_address


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes 100 images at once, with one of two models loaded."""
    folder = tmp_path_factory.mktemp("store")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    export_random(folder, "mobilenet_v2", 0.35, 96)
    settings: dict[str, object] = {
        "models": SMALL_V1,
        "default_model": SMALL_V1,
        "aliases": ALIAS,
        "grpc_port": 0,
        "admin_key": ADMIN_KEY,
        "max_images": BATCH,
        "queue_limit": BATCH,
    }
    with running(folder, **settings) as started, started.client() as client:
        until(lambda: GRPC.search(started.log), "gRPC listens")
        found = GRPC.search(started.log)
        assert found
        yield Service(client, f"127.0.0.1:{found[1]}")


@pytest.fixture(scope="package")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred photos of the model's own size, so that pixels and files are the same image."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(BATCH):
        file = folder / f"{seed:03}.png"
        file.write_bytes(encode(noise(128, 128, seed), "PNG"))
    return folder
