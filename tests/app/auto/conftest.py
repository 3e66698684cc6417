"""The two small models among which `auto` chooses."""

from functools import partial
from pathlib import Path

import pytest

from app.model.model import load_model
from app.model.store import Store
from app.model.store_folder import Selection
from tests.exports import export_random


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV2 0.35 at 50.5 % and what its table says below, and MobileNetV1 0.25."""
    folder = tmp_path_factory.mktemp("auto")
    export_random(folder, "mobilenet_v2", 0.35, 224)
    export_random(folder, "mobilenet_v1", 0.25, 128)
    return folder


@pytest.fixture(scope="session")
def models(folder: Path) -> Store:
    return Store(Selection(folder), partial(load_model))
