"""Fixtures: a browser, and a service for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import skimage.data
from playwright.sync_api import Browser

from app.settings import Settings
from tests.conftest import REAL_MODEL
from tests.exports import export_random
from tests.page.browser import CHROMIUM, chromium
from tests.serving import served


@pytest.fixture(scope="session")
def photo() -> Path:
    """A cat of scikit-image's (CC0)."""
    return Path(skimage.data.__file__).with_name("chelsea.png")


@pytest.fixture(scope="package")
def page_store(tmp_path_factory: pytest.TempPathFactory, real_store: Path) -> Path:
    """The default model with its real weights, and two small models with random weights."""
    folder = tmp_path_factory.mktemp("page") / "store"
    folder.mkdir()
    (folder / f"{REAL_MODEL}.onnx").symlink_to(real_store / f"{REAL_MODEL}.onnx")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    export_random(folder, "mobilenet_v2", 0.35, 96)
    return folder


@pytest.fixture(scope="package")
def address(page_store: Path) -> Iterator[str]:
    """Address of the service."""
    with served(Settings(store=page_store, cache=False)) as client:
        yield _address(client)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with chromium() as opened:
        yield opened


def _address(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")
