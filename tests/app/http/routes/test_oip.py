"""The Open Inference Protocol over HTTP, with nothing but HTTP."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from app.oip.rest_codec import LENGTH_HEADER
from app.oip.tensors import pack_bytes
from app.settings import Settings
from tests.app.http.routes.oip_client import PHOTO, PIXELS, error_of, files, infer, outputs, pixels
from tests.app.sample_images import as_base64, chelsea, encode, noise
from tests.conftest import REAL_MODEL, SMALL_V1, SMALL_V2
from tests.processes import metric_of
from tests.serving import served

# --- what serves here ----------------------------------------------------------------------------


def test_the_server_says_what_it_is_and_that_it_lives(client: httpx.Client) -> None:
    server = client.get("/v2").json()
    assert server["name"] == "mobilenet-gateway"
    assert {"binary_tensor_data", "classification", "model_repository"} <= set(server["extensions"])
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_a_model_says_what_its_tensors_are(client: httpx.Client, version: str) -> None:
    metadata = client.get(f"/v2/models/{SMALL_V2}{version}").json()
    assert metadata["name"] == SMALL_V2
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    shapes = {output["name"]: output["shape"] for output in metadata["outputs"]}
    answer = outputs(infer(client, {"inputs": [files(PHOTO)]}, model=SMALL_V2))
    assert {name: [-1, found.shape[1]] for name, found in answer.items()} == shapes
    assert client.get(f"/v2/models/{SMALL_V2}{version}/ready").json()["ready"] is True
    config = client.get(f"/v2/models/{SMALL_V2}{version}/config").json()
    assert config["max_batch_size"] == 32
    assert [output["dims"] for output in config["output"]] == [
        shape[1:] for shape in shapes.values()
    ]


@pytest.mark.parametrize("path", ["", "/ready", "/config", "/stats"])
def test_an_unknown_model_or_version_is_a_404(client: httpx.Client, path: str) -> None:
    assert SMALL_V1 in error_of(client.get(f"/v2/models/nothing{path}"), 404)
    other = client.get(f"/v2/models/{SMALL_V1}/versions/2{path}")
    assert "no version '2', only 1." in error_of(other, 404)


# --- inference -----------------------------------------------------------------------------------


def test_the_answer_is_that_of_predict(client: httpx.Client) -> None:
    photos = [encode(noise(seed=seed)) for seed in range(3)]
    answer = infer(client, {"id": "a-7", "inputs": [files(*photos)]})
    assert answer.json()["id"] == "a-7"
    assert answer.json()["model_name"] == SMALL_V1
    rows = outputs(answer)["probabilities"]
    form = [("image", photo) for photo in photos]
    predicted = client.post("/predict", params={"top_k": 100}, files=form).json()["results"]
    for row, result in zip(rows, predicted, strict=True):
        for prediction in result["predictions"]:
            assert row[prediction["class_id"]] == pytest.approx(prediction["probability"], rel=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_raw_pixels_and_json_pixels_get_the_same_answer(client: httpx.Client, binary: bool) -> None:
    parameters = {"binary_data_output": binary}
    raw = infer(client, {"inputs": [pixels()], "parameters": parameters}, PIXELS.tobytes())
    assert (LENGTH_HEADER in raw.headers) == binary
    plain = pixels(parameters={}, data=PIXELS.ravel().tolist())
    in_json = infer(client, {"inputs": [plain]})
    for name, found in outputs(in_json).items():
        assert np.allclose(found, outputs(raw)[name], rtol=1e-6)


def test_pixels_are_run_as_they_are(client: httpx.Client) -> None:
    """A lossless file of the trained size, that is cropped to itself, sees the same network."""
    big = np.asarray(noise(146, 146, seed=5))  # floor(128 / 0.875): its centre is what is cropped
    [by_file] = outputs(infer(client, {"inputs": [files(encode(noise(146, 146, seed=5), "PNG"))]}))[
        "probabilities"
    ]
    centre = np.ascontiguousarray(big[9:137, 9:137])[None]
    [by_pixels] = outputs(infer(client, {"inputs": [pixels(centre)]}, centre.tobytes()))[
        "probabilities"
    ]
    assert np.abs(by_file - by_pixels).max() < 1e-3


def test_a_whole_body_can_be_one_image(client: httpx.Client) -> None:
    plain = client.post(f"/v2/models/{SMALL_V1}/infer", content=PHOTO, headers={LENGTH_HEADER: "0"})
    packed = infer(client, {"inputs": [{**files(b""), "data": [as_base64(PHOTO)]}]})
    assert outputs(plain)["probabilities"].tolist() == outputs(packed)["probabilities"].tolist()


def test_raw_files_are_classified(client: httpx.Client) -> None:
    raw = pack_bytes([PHOTO, PHOTO])
    tensor = {
        "name": "image",
        "shape": [2, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    wanted = [
        {"name": "probabilities", "parameters": {"classification": 4}},
        {"name": "embedding"},
    ]
    found = outputs(infer(client, {"inputs": [tensor], "outputs": wanted}, raw))
    assert found["probabilities"].shape == (2, 4)
    assert found["embedding"].shape == (2, 256)
    [result] = client.post("/predict?top_k=4", content=PHOTO).json()["results"]
    texts = [
        f"{one['probability']:.6f}:{one['class_id']}:{one['label']}"
        for one in result["predictions"]
    ]
    assert found["probabilities"].tolist() == [texts, texts]


def test_a_request_can_ask_for_another_resolution(client: httpx.Client) -> None:
    asked = {"inputs": [files(PHOTO)], "parameters": {"resolution": 160}}
    rows = outputs(infer(client, asked))["probabilities"]
    [result] = client.post("/predict?resolution=160&top_k=1", content=PHOTO).json()["results"]
    [best] = result["predictions"]
    assert rows.argmax() == best["class_id"]
    assert rows.max() == pytest.approx(best["probability"], rel=1e-6)


def test_a_cat_is_a_cat(real_client: httpx.Client) -> None:
    wanted = [{"name": "probabilities", "parameters": {"classification": 1}}]
    asked = {"inputs": [files(encode(chelsea(), "PNG"))], "outputs": wanted}
    [[text]] = outputs(infer(real_client, asked, model=REAL_MODEL))["probabilities"]
    assert 281 <= int(text.split(":")[1]) <= 285


def test_what_a_damaged_image_lacks_is_a_parameter(client: httpx.Client) -> None:
    whole = encode(noise(300, 200), "JPEG")
    cut = whole[: int(len(whole) * 0.95)] + b"\xff\xd9"
    both = infer(client, {"inputs": [files(PHOTO, cut)]}).json()
    assert both["parameters"]["warnings"].startswith("image 1 of 2: ")
    assert "ends before its last pixel" in both["parameters"]["warnings"]
    assert "parameters" not in infer(client, {"inputs": [files(PHOTO)]}).json()


def test_the_work_is_counted_like_that_of_predict(store: Path) -> None:
    with served(Settings(store=store, default_model=SMALL_V1)) as client:
        outputs(infer(client, {"inputs": [files(PHOTO, PHOTO)]}))
        infer(client, {"inputs": [files(b"text")]})
        text = client.get("/metrics").text
        route = "/v2/models/{name}/infer"
        assert metric_of(text, "gateway_requests_total", route=route, status="200") == 1
        assert metric_of(text, "gateway_requests_total", route=route, status="400") == 1
        assert metric_of(text, "gateway_images_total", model=SMALL_V1, outcome="ok") == 2
        assert metric_of(text, "gateway_images_total", outcome="not-an-image") == 1
        [stats] = client.get(f"/v2/models/{SMALL_V1}/stats").json()["model_stats"]
        assert stats["inference_count"] == 2
        assert stats["inference_stats"]["fail"]["count"] == 1
        assert stats["inference_stats"]["compute_infer"]["ns"] > 0
        everything = client.get("/v2/models/stats").json()["model_stats"]
        assert {one["name"] for one in everything} == {SMALL_V1, SMALL_V2}
