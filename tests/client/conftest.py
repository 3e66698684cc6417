"""Fixtures of several modules: the address of a service, and a folder for `classify`."""

import os
from pathlib import Path

import httpx
import pytest

from tests.app.sample_images import encode, noise
from tests.client.command import FILES


@pytest.fixture(scope="session")
def url(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to one image, a bad file with the name of an image, and a file of another type."""
    made = tmp_path_factory.mktemp("photos")
    (made / "below").mkdir()
    source = made / "below" / "source.jpg"
    source.write_bytes(encode(noise(320, 240)))
    for number in range(FILES - 1):
        os.link(source, made / f"{number:04}.jpg")
    (made / "bad.JPG").write_bytes(b"no image")
    (made / "notes.txt").write_text("not for you")
    return made
