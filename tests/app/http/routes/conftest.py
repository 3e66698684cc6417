"""A service whose models an administrator loads and unloads."""

from collections.abc import Iterator

import httpx
import pytest

from app.settings import Settings
from tests.app.http.routes.oip_client import KEY
from tests.conftest import SMALL_V1
from tests.exports import export_random
from tests.serving import served


@pytest.fixture(scope="package")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over two models of a store of its own, one of which is loaded."""
    folder = tmp_path_factory.mktemp("store")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    export_random(folder, "mobilenet_v2", 0.35, 96)
    settings = Settings(store=folder, models=(SMALL_V1,), admin_key=KEY, max_images=3)
    with served(settings) as client:
        yield client
