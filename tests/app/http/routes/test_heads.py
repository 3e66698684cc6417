"""A head of one's own over HTTP: listed, chosen by name, and never the default."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mobilenet_gateway_client import Client

from app.heads.head import Head
from app.settings import Settings
from tests.app.heads.made import write_head
from tests.app.sample_images import chelsea, encode
from tests.conftest import SMALL_V1, SMALL_V2
from tests.serving import served


@pytest.fixture(scope="module")
def folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(store, tmp_path_factory.mktemp("heads") / "store")


@pytest.fixture(scope="module")
def head(folder: Path) -> Head:
    write_head(folder / f"{SMALL_V2}.onnx", "porch", seed=1)
    write_head(folder / f"{SMALL_V1}.onnx", "side", seed=2)
    return write_head(folder / f"{SMALL_V2}.onnx")


@pytest.fixture(scope="module")
def client(folder: Path, head: Head) -> Iterator[httpx.Client]:
    assert head.card.name == "gate"
    with served(Settings(store=folder, measure_s=0)) as client:
        yield client


def test_predict_answers_with_the_classes_of_the_named_head(client: httpx.Client) -> None:
    answer = client.post("/predict?model=gate", content=encode(chelsea())).json()
    assert answer["model"] == "gate"
    [result] = answer["results"]
    labels = {one["label"] for one in result["predictions"]}
    assert labels == {"closed", "open", "unknown"}
    assert sum(one["probability"] for one in result["predictions"]) == pytest.approx(1, abs=1e-3)


def test_without_a_name_the_base_answers_as_before(client: httpx.Client) -> None:
    answer = client.post("/predict", content=encode(chelsea())).json()
    assert answer["model"] == SMALL_V1


def test_models_says_what_the_head_adds(client: httpx.Client, head: Head) -> None:
    rows = {row["name"]: row for row in client.get("/models").json()["models"]}
    base, gate = rows[SMALL_V2], rows["gate"]
    width = head.weights.shape[1]
    assert gate["madds"] - base["madds"] == (2 + 5 - 1000) * width
    assert gate["params"] - base["params"] == (2 * width + 2) - (1000 * width + 1000)
    detail = client.get("/models/gate").json()
    files = gate["file_bytes"] + base["file_bytes"]
    for variant in detail["variants"]:
        assert variant["memory_bytes"] > files  # and activations; it cannot run without its base
    assert [variant["resolution"] for variant in detail["variants"]] == [96]
    assert detail["variants"][0]["madds"] == gate["madds"]
    card = detail["card"]
    assert card["base_sha256"] == head.card.base_sha256
    assert card["labels"] == ["closed", "open", "unknown"]


def test_the_frontier_is_of_the_models_that_auto_may_choose(client: httpx.Client) -> None:
    variants = client.get("/models/frontier").json()["variants"]
    assert {one["model"] for one in variants} == {SMALL_V1, SMALL_V2}


def test_the_open_inference_protocol_serves_it(client: httpx.Client) -> None:
    metadata = client.get("/v2/models/gate").json()
    assert {output["name"]: output["shape"] for output in metadata["outputs"]} == {
        "probabilities": [-1, 3],
        "embedding": [-1, 1280],
    }
    assert client.get("/v2/models/gate/ready").status_code == 200


def test_heads_on_one_base_are_answered_together(client: httpx.Client) -> None:
    image = encode(chelsea())
    alone = {
        name: client.post(f"/predict?model={name}", content=image).json()["results"][0]
        for name in ("gate", "porch")
    }
    answer = client.post("/predict?model=gate,porch&top_k=2", content=image).json()
    assert answer["model"] == "gate,porch"
    [result] = answer["results"]
    assert result["predictions"] == []
    assert list(result["heads"]) == ["gate", "porch"]
    for name, head in result["heads"].items():
        for found, wanted in zip(head["predictions"], alone[name]["predictions"], strict=False):
            assert found["label"] == wanted["label"]
            assert found["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
        assert len(head["predictions"]) == 2
    assert result["inference_ms"] > 0


def test_metrics_count_heads_named_together_for_their_base(client: httpx.Client) -> None:
    """Otherwise each order of each choice of heads would be kept, and published, for ever."""
    for names in ("gate,porch", "porch,gate"):
        assert client.post(f"/predict?model={names}", content=encode(chelsea())).status_code == 200
    text = client.get("/metrics").text
    counted = set(re.findall(r'gateway_images_total\{model="([^"]*)"', text))
    assert SMALL_V2 in counted
    assert counted <= {SMALL_V1, SMALL_V2, "gate", "porch"}


def test_one_bad_image_of_several_has_its_error_in_its_place(client: httpx.Client) -> None:
    files = {"a": encode(chelsea()), "b": b"no image"}
    first, second = client.post("/predict?model=gate,porch", files=files).json()["results"]
    assert "heads" in first
    assert "error" not in first
    assert second["error"]["type"].endswith("not-an-image")


@pytest.mark.parametrize(
    ("names", "status", "text"),
    [
        (f"gate,{SMALL_V2}", 422, f"{SMALL_V2} is not a taught head"),
        ("gate,gate", 422, "each once"),
        ("gate,side", 422, f"need one base: gate on {SMALL_V2}, side on {SMALL_V1}"),
        ("gate,missing", 404, "Unknown model 'missing'"),
        ("gate,", 404, "Unknown model ''"),
        ("gate,auto", 404, "Unknown model 'auto'"),
    ],
)
def test_what_cannot_be_named_together_is_rejected(
    client: httpx.Client, names: str, status: int, text: str
) -> None:
    answer = client.post(f"/predict?model={names}", content=encode(chelsea()))
    assert answer.status_code == status
    assert text in answer.json()["detail"]


def test_the_client_has_the_classes_by_head(client: httpx.Client) -> None:
    with Client(str(client.base_url)) as gateway:
        found = gateway.classify(encode(chelsea()), model="gate,porch")
    assert found.predictions == ()
    with pytest.raises(ValueError, match="gate,porch are several heads"):
        assert found.label
    assert {name: {one.label for one in scores} for name, scores in found.heads.items()} == {
        "gate": {"closed", "open", "unknown"},
        "porch": {"closed", "open", "unknown"},
    }
