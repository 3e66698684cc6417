"""A publisher on this machine, an empty cache to fetch into, an empty folder to work in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.publisher import Publisher, publishing


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with publishing() as opened:
        yield opened


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command reads or writes the project's own store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "store").mkdir(parents=True)  # so that it is the default one
