"""Fixtures for everything under tests/: where the real weights and photos are, if they are here."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_folder(name: str) -> Path:
    """Return a folder of real material that lies beside the checkout, or skip the test."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs real {name} in {folder}, which is not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    return shared_folder("weights")


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    return shared_folder("photos")
