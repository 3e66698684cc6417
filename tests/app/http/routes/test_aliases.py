"""A model answers under its aliases, on every way to it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.errors import UnknownModel
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.serving import served


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=store, aliases=f"gate={SMALL_V2},camera")) as opened:
        yield opened


@pytest.mark.parametrize(("alias", "model"), [("gate", SMALL_V2), ("camera", SMALL_V1)])
def test_an_alias_answers_as_its_model_and_says_which(
    client: httpx.Client, alias: str, model: str
) -> None:
    image = encode(noise())
    by_alias = client.post(f"/predict?model={alias}", content=image).json()
    by_name = client.post(f"/predict?model={model}", content=image).json()
    assert by_alias["model"] == by_name["model"] == model
    assert by_alias["results"][0]["predictions"] == by_name["results"][0]["predictions"]
    detail = client.get(f"/models/{alias}").json()
    assert detail["card"]["name"] == model
    assert detail["variants"]


def test_the_open_inference_protocol_answers_by_the_name_that_was_asked(
    client: httpx.Client,
) -> None:
    path = "/v2/models/gate"
    assert client.get(path).json()["name"] == "gate"
    assert client.get(f"{path}/ready").json() == {"name": "gate", "ready": True}
    answer = client.post(
        f"{path}/infer",
        content=encode(noise()),
        headers={"Inference-Header-Content-Length": "0"},
    )
    assert answer.status_code == 200
    assert answer.json()["model_name"] == "gate"


def test_an_unknown_model_is_told_the_aliases_too(client: httpx.Client) -> None:
    detail = assert_problem(client.post("/predict?model=gatte", content=b"x"), UnknownModel)
    assert "gate" in detail
