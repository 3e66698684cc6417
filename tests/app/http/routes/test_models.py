"""GET /models and what lies below it, against the cards in the files."""

from pathlib import Path

import httpx
import pytest

from app.card.card import CARD_KEY, ModelCard, parse_card
from app.errors import BadQuery, Forbidden, MethodNotAllowed, NotFound, UnknownModel
from models.export.export import read_metadata
from tests.app.problems import assert_problem
from tests.conftest import SMALL_V1, SMALL_V2


def card_of(store: Path, name: str) -> ModelCard:
    return parse_card(read_metadata(store / f"{name}.onnx")[CARD_KEY])


def test_the_list_has_every_model_of_the_store(client: httpx.Client) -> None:
    answer = client.get("/models").json()
    assert answer.keys() == {"models", "broken"}
    assert [model["name"] for model in answer["models"]] == [SMALL_V1, SMALL_V2]
    assert [model["default"] for model in answer["models"]] == [True, False]
    assert answer["broken"] == {}


@pytest.mark.parametrize("name", [SMALL_V1, SMALL_V2])
def test_each_field_of_the_list_is_that_of_card_and_file(
    client: httpx.Client, store: Path, name: str
) -> None:
    [row] = [model for model in client.get("/models").json()["models"] if model["name"] == name]
    card = card_of(store, name)
    cost, accuracy = card.cost, card.accuracy
    assert accuracy is not None
    assert row == {
        "name": name,
        "default": name == SMALL_V1,
        "state": "loaded",
        "family": card.family,
        "alpha": card.alpha,
        "resolution": card.resolution,
        "resolutions": "96 to 512 in steps of 32",
        "precision": "fp32",
        "params": cost.params,
        "madds": cost.madds,
        "file_bytes": (store / f"{name}.onnx").stat().st_size,
        "providers": ["cpu"],
        "peak_activation_bytes": cost.peak_activation_bytes,
        "top1": {"percent": accuracy.top1, "source": accuracy.source},
        "top5": None,
        "saving": {
            "standard_params": cost.standard_params,
            "standard_madds": cost.standard_madds,
            "params_ratio": pytest.approx(cost.standard_params / cost.params, abs=0.005),
            "madds_ratio": pytest.approx(cost.standard_madds / cost.madds, abs=0.005),
        },
    }


def test_the_real_model_costs_what_its_authors_say(real_client: httpx.Client) -> None:
    [row] = real_client.get("/models").json()["models"]
    assert row["params"] == 3_504_872
    assert row["top1"]["percent"] == 71.878
    assert row["top5"]["percent"] == 90.286


def test_a_model_shows_its_whole_card_but_for_the_layers(client: httpx.Client, store: Path) -> None:
    answer = client.get(f"/models/{SMALL_V2}").json()
    card = card_of(store, SMALL_V2).model_dump(mode="json")
    layers = card["cost"].pop("layers")
    [variant] = answer.pop("variants")
    assert (variant["resolution"], variant["madds"]) == (96, card["cost"]["madds"])
    assert answer == {
        "state": "loaded",
        "file_bytes": (store / f"{SMALL_V2}.onnx").stat().st_size,
        "providers": ["cpu"],
        "card": card,
    }
    assert client.get(f"/models/{SMALL_V2}/layers").json()["layers"] == layers


@pytest.mark.parametrize("name", [SMALL_V1, SMALL_V2])
def test_the_layers_sum_to_the_totals(client: httpx.Client, name: str) -> None:
    [totals] = [model for model in client.get("/models").json()["models"] if model["name"] == name]
    table = client.get(f"/models/{name}/layers").json()
    assert table.keys() == {"model", "resolution", "madds", "peak_activation_bytes", "layers"}
    assert (table["model"], table["resolution"]) == (name, totals["resolution"])
    layers = table["layers"]
    counted = ("weights", "biases", "batch_norm_params")
    assert sum(layer[field] for layer in layers for field in counted) == totals["params"]
    assert sum(layer["madds"] for layer in layers) == totals["madds"] == table["madds"]
    assert table["peak_activation_bytes"] == totals["peak_activation_bytes"]
    assert max(layer["activation_bytes"] for layer in layers) <= totals["peak_activation_bytes"]


def test_the_layers_can_be_had_at_another_resolution(client: httpx.Client) -> None:
    path = f"/models/{SMALL_V1}/layers"
    trained = client.get(path).json()
    table = client.get(path, params={"resolution": 256}).json()
    assert client.get(path, params={"resolution": 128}).json() == trained
    assert table["resolution"] == 256
    assert table["peak_activation_bytes"] == 4 * trained["peak_activation_bytes"]
    assert table["madds"] == sum(layer["madds"] for layer in table["layers"])
    *convolutions, classifier = zip(trained["layers"], table["layers"], strict=True)
    assert classifier[0] == classifier[1]
    for before, after in convolutions:
        _, height, width = after["input_shape"]
        assert height == width == 2 * before["input_shape"][1]
        assert after["madds"] == 4 * before["madds"]


def test_layers_at_a_resolution_that_the_model_does_not_take_are_refused(
    client: httpx.Client,
) -> None:
    response = client.get(f"/models/{SMALL_V1}/layers", params={"resolution": 100})
    assert "96 to 512 in steps of 32, not 100" in assert_problem(response, BadQuery)


@pytest.mark.parametrize("path", ["/models/mobilenet_v3", "/models/mobilenet_v3/layers"])
def test_an_unknown_model_is_refused_with_the_names_of_those_there_are(
    client: httpx.Client, path: str
) -> None:
    detail = assert_problem(client.get(path), UnknownModel)
    assert f"{SMALL_V1}, {SMALL_V2}" in detail


@pytest.mark.parametrize("path", ["/models", f"/models/{SMALL_V1}", f"/models/{SMALL_V1}/layers"])
def test_a_query_parameter_is_refused_by_its_name(client: httpx.Client, path: str) -> None:
    detail = assert_problem(client.get(path, params={"limit": 3}), BadQuery)
    assert detail == "limit: unknown parameter"


@pytest.mark.parametrize(
    "path", ["/models/", f"/models/{SMALL_V1}/", f"/models/{SMALL_V1}/weights", "/models/a/b/c"]
)
def test_a_path_below_models_that_is_not_there_is_refused(client: httpx.Client, path: str) -> None:
    assert path in assert_problem(client.get(path), NotFound)


def test_models_cannot_be_posted(client: httpx.Client) -> None:
    response = client.post("/models")
    assert_problem(response, MethodNotAllowed)
    assert response.headers["allow"] == "GET, HEAD"


def test_a_reload_needs_an_admin_key_that_the_service_was_given(client: httpx.Client) -> None:
    assert "GATEWAY_ADMIN_KEY" in assert_problem(client.post("/models/reload"), Forbidden)
