"""The store that the commands use."""

from pathlib import Path

import pytest

from tests.conftest import SMALL_V1


@pytest.fixture
def small_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STORE", str(store))
    monkeypatch.setenv("GATEWAY_DEFAULT_MODEL", SMALL_V1)
