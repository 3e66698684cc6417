"""POST /predict?embedding=true: the pooled features of each image beside its classes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from app.arrays import Float32Array, Uint8Array
from app.errors import BadQuery
from app.settings import Settings
from tests.app.heads.made import write_head
from tests.app.http.routes.predicting import answered, predict
from tests.app.problems import assert_problem
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.serving import served

SIDE, CROP = 256, 224  # the shorter side is resized to 256 for a crop of 224


@pytest.fixture(scope="module")
def folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(store, tmp_path_factory.mktemp("heads") / "store")
    write_head(folder / f"{SMALL_V2}.onnx", "gate")
    write_head(folder / f"{SMALL_V2}.onnx", "porch", seed=1)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=folder, default_model=SMALL_V1, measure_s=0)) as client:
        yield client


@pytest.fixture(scope="module")
def pixels() -> Uint8Array:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(folder: Path, pixels: Uint8Array) -> Float32Array:
    """What onnxruntime makes of the pixels without this project."""
    session = onnxruntime.InferenceSession(folder / f"{SMALL_V2}.onnx")
    crop = np.ascontiguousarray(pixels[16:-16, 16:-16])
    [[embedding]] = session.run(["embedding"], {"image": crop[np.newaxis]})
    assert isinstance(embedding, np.ndarray)
    return embedding


@pytest.mark.parametrize("model", [SMALL_V2, "gate", "gate,porch"])
def test_the_values_are_those_of_the_graph_s_output(
    client: httpx.Client, model: str, pixels: Uint8Array, expected: Float32Array
) -> None:
    image = encode(Image.fromarray(pixels), "PNG")
    [result] = answered(predict(client, image, model=model, resolution=CROP, embedding="true"))
    assert len(result["embedding"]) == 1280
    assert result["embedding"] == pytest.approx(expected.tolist(), abs=1e-5, rel=1e-5)
    [plain] = answered(predict(client, image, model=model, resolution=CROP))
    assert result.keys() - plain.keys() == {"embedding"}
    for key in ("predictions", "heads"):
        assert result.get(key) == plain.get(key)


@pytest.mark.parametrize("query", ["", "embedding=false"])
def test_it_is_left_out_unless_it_is_asked_for(client: httpx.Client, query: str) -> None:
    answer = client.post(f"/predict?{query}", content=encode(noise()))
    assert "embedding" not in answered(answer)[0]


def test_it_has_the_width_of_the_default_model_and_of_the_one_that_auto_chooses(
    client: httpx.Client,
) -> None:
    [result] = answered(predict(client, encode(noise()), embedding="true"))
    assert len(result["embedding"]) == 256  # SMALL_V1: a quarter of 1024 channels
    answer = predict(client, encode(noise()), embedding="true", model="auto").json()
    [result] = answer["results"]
    assert len(result["embedding"]) == {SMALL_V1: 256, SMALL_V2: 1280}[answer["model"]]


def test_one_bad_image_of_several_has_its_error_in_its_place(client: httpx.Client) -> None:
    files = {"a": encode(noise()), "b": b"no image"}
    answer = client.post("/predict?embedding=true", files=files)
    first, second = answered(answer)
    assert len(first["embedding"]) == 256
    assert second["error"]["type"].endswith("not-an-image")
    assert "embedding" not in second


def test_another_value_is_rejected(client: httpx.Client) -> None:
    answer = predict(client, encode(noise()), embedding="perhaps")
    assert assert_problem(answer, BadQuery).startswith("embedding: ")


def test_a_model_without_embeddings_says_so(store: Path, tmp_path: Path) -> None:
    graph = onnx.load(store / f"{SMALL_V2}.onnx")
    kept = [output for output in graph.graph.output if output.name != "embedding"]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    onnx.save(graph, tmp_path / f"{SMALL_V2}.onnx")
    with served(Settings(store=tmp_path, measure_s=0)) as client:
        answer = predict(client, encode(noise()), embedding="true")
    detail = assert_problem(answer, BadQuery)
    assert detail == f"embedding: {SMALL_V2} was imported without one."
