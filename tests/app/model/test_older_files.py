"""Files from before card version 4: two outputs, and a card without the newer fields."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest
from onnx import helper

from app.card.card import CARD_KEY
from app.model.model import load_model
from app.settings import Settings
from tests.app.sample_images import as_base64, encode, noise
from tests.conftest import SMALL_V1
from tests.exports import export_random
from tests.serving import served

ADDED = ("precision_origin", "channels", "head_activation", "background", "base_sha256")
PHOTO = encode(noise(160, 120), "JPEG")


def made_older(path: Path) -> Path:
    """The same file with a card of version 3 and the outputs of its time."""
    model = onnx.load(path)
    card = json.loads(next(p.value for p in model.metadata_props if p.key == CARD_KEY))
    older = {key: value for key, value in card.items() if key not in ADDED}
    helper.set_model_props(model, {CARD_KEY: json.dumps({**older, "card_version": 3})})
    kept = [node for node in model.graph.node if node.output[0] != "features"]
    del model.graph.node[:], model.graph.output[2:]
    model.graph.node.extend(kept)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def older_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("older")
    made_older(export_random(folder, "mobilenet_v1", 0.25, 128))
    with served(Settings(store=folder, default_model=SMALL_V1)) as opened:
        yield opened


def test_an_older_file_answers_as_a_new_one(older_client: httpx.Client, store: Path) -> None:
    answer = older_client.post("/predict", content=PHOTO, params={"top_k": 3})
    assert answer.status_code == 200
    new = Settings(store=store, models=(SMALL_V1,), default_model=SMALL_V1)
    with served(new) as client:
        expected = client.post("/predict", content=PHOTO, params={"top_k": 3})
    found, wanted = (one.json()["results"][0]["predictions"] for one in (answer, expected))
    assert found == wanted


def test_the_card_of_an_older_file_is_shown_as_the_newest_version(
    older_client: httpx.Client, store: Path
) -> None:
    card = older_client.get(f"/models/{SMALL_V1}").json()["card"]
    newest = load_model(store / f"{SMALL_V1}.onnx").card.model_dump(mode="json")
    assert card == {**newest, "cost": card["cost"]}
    assert (card["card_version"], card["background"]) == (5, 0)


def test_an_older_file_offers_the_outputs_that_it_has(older_client: httpx.Client) -> None:
    said = older_client.get(f"/v2/models/{SMALL_V1}").json()["outputs"]
    assert [output["name"] for output in said] == ["probabilities", "embedding"]
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [as_base64(PHOTO)]}
    asked = {"inputs": [image], "outputs": [{"name": "logits"}]}
    answer = older_client.post(f"/v2/models/{SMALL_V1}/infer", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(": probabilities, embedding.")
