"""The real checkpoint of the default model, if this machine has it."""

from pathlib import Path

import pytest

from models.zoo.fetch import Pin, verify
from models.zoo.zoo import DEFAULT_MODEL, find
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def default_weights() -> Path:
    """torchvision's MobileNetV2 weights as `models pull` keeps them."""
    [(name, file)] = find(DEFAULT_MODEL).files.items()
    path = ROOT / "models" / "weights" / name
    if not path.is_file():
        pytest.skip(f"needs {path.name} in {path.parent}: run `mobilenet-gateway models pull`")
    assert file.sha256
    verify(path, Pin(file.sha256))
    return path
