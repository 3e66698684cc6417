"""/heads: examples, training and what is served of it, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.training.colours import add, admin, photo, settings, train
from tests.conftest import SMALL_V2
from tests.serving import served


@pytest.fixture
def client(store: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    with served(settings(store, tmp_path / "heads")) as opened:
        yield admin(opened)


def test_from_photos_to_labels(client: httpx.Client) -> None:
    add(client, "open", *range(8))
    add(client, "closed", *range(8))
    head = client.get("/heads/gate").json()
    assert head["labels"] == {"closed": 8, "open": 8}
    assert head["base"] == SMALL_V2
    assert (head["taught"], head["outdated"], head["training"]) == (False, False, False)
    assert head["report"] is None
    report = train(client)
    assert report["photos"] == 16
    head = client.get("/heads/gate").json()
    assert head["taught"]
    assert head["report"] == report
    answer = client.post("/predict?model=gate", content=photo("open", 20)).json()
    assert answer["results"][0]["predictions"][0]["label"] == "open"
