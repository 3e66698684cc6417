"""The Open Inference Protocol over HTTP, with nothing but HTTP."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.oip.rest_codec import LENGTH_HEADER
from app.oip.tensors import pack_bytes
from app.settings import Settings
from tests.app.sample_images import as_base64, chelsea, encode, noise
from tests.conftest import REAL_MODEL, SMALL_V1, SMALL_V2
from tests.exports import export_random
from tests.processes import LIVELINESS_S, metric_of, running, until
from tests.serving import served

KEY = "the-admin"
PHOTO = encode(noise())
PIXELS: NDArray[np.uint8] = np.asarray(noise(128, 128, seed=3))[None]


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over two models of a store of its own, one of which is loaded."""
    folder = tmp_path_factory.mktemp("store")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    export_random(folder, "mobilenet_v2", 0.35, 96)
    settings = Settings(store=folder, models=(SMALL_V1,), admin_key=KEY, max_images=3)
    with served(settings) as client:
        yield client


def infer(
    client: httpx.Client, asked: dict[str, Any], *raws: bytes, model: str = SMALL_V1
) -> httpx.Response:
    """Ask with JSON, and with raw tensors behind it if there are any."""
    head = json.dumps(asked).encode()
    headers = {LENGTH_HEADER: str(len(head))} if raws else {}
    body = b"".join((head, *raws))
    return client.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def files(*images: bytes) -> dict[str, Any]:
    texts = [as_base64(image) for image in images]
    return {"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}


def pixels(array: NDArray[np.uint8] = PIXELS, **changed: Any) -> dict[str, Any]:
    tensor = {"name": "image", "shape": list(array.shape), "datatype": "UINT8"}
    return {**tensor, "parameters": {"binary_data_size": array.nbytes}, **changed}


def outputs(response: httpx.Response) -> dict[str, NDArray[Any]]:
    """The tensors of an answer by name, as a client would read them."""
    assert response.status_code == 200, response.text
    end = int(response.headers.get(LENGTH_HEADER, len(response.content)))
    rest = response.content[end:]
    found = {}
    for output in json.loads(response.content[:end])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.array(output["data"]).reshape(output["shape"])
            continue
        raw, rest = rest[:size], rest[size:]
        found[output["name"]] = np.frombuffer(raw, "<f4").reshape(output["shape"])
    assert not rest
    return found


def error_of(response: httpx.Response, status: int) -> str:
    """What an error says; it has exactly the protocol's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [(key, text)] = response.json().items()
    assert key == "error"
    return str(text)


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


# --- what cannot be answered ---------------------------------------------------------------------

RIGHT = files(PHOTO)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param({}, "inputs: Field required", id="no-inputs"),
        pytest.param({"inputs": []}, "has one input, 'image'. Received: none", id="empty"),
        pytest.param({"inputs": [{**RIGHT, "name": "x"}]}, "Received: 'x'", id="other-name"),
        pytest.param({"inputs": [RIGHT, RIGHT]}, "Received: 'image', 'image'", id="twice"),
        pytest.param({"inputs": [{**RIGHT, "datatype": "FP32"}]}, "datatype FP32", id="floats"),
        pytest.param({"inputs": [{**RIGHT, "shape": [1, 2]}]}, "not [1, 2]", id="shape"),
        pytest.param({"inputs": [{**RIGHT, "shape": [0], "data": []}]}, "no image", id="none"),
        pytest.param({"inputs": [{**RIGHT, "shape": [-1]}]}, "no image", id="negative"),
        pytest.param({"inputs": [{**RIGHT, "shape": [2]}]}, "but 1 were sent", id="too-few"),
        pytest.param({"inputs": [{**RIGHT, "data": ["?"]}]}, "not base64", id="base64"),
        pytest.param({"inputs": [{**RIGHT, "data": None}]}, "neither data nor", id="no-data"),
        pytest.param({"inputs": [{**RIGHT, "extra": 1}]}, "inputs.0.extra", id="unknown-key"),
        pytest.param({"inputs": [pixels()]}, "binary_data_size is", id="no-raw"),
        pytest.param(
            {"inputs": [pixels(np.zeros((1, 100, 100, 3), np.uint8), parameters={}, data=[0])]},
            "96 to 512 in steps of 32 pixels, not 100 x 100",
            id="size",
        ),
        pytest.param(
            {"inputs": [pixels(np.zeros((1, 128, 96, 3), np.uint8), parameters={}, data=[0])]},
            "not 128 x 96",
            id="not-square",
        ),
        pytest.param(
            {"inputs": [pixels(np.zeros((1, 128, 128), np.uint8), parameters={}, data=[0])]},
            "[N, H, W, 3]",
            id="grey",
        ),
        pytest.param(
            {"inputs": [RIGHT], "outputs": [{"name": "logits"}]},
            "Unknown output",
            id="output",
        ),
        pytest.param(
            {"inputs": [RIGHT], "parameters": {"sequence_id": 3}}, "'sequence_id'", id="sequence"
        ),
        pytest.param(
            {"inputs": [RIGHT], "parameters": {"resolution": 100}}, "pixels, not 100.", id="100"
        ),
        pytest.param({"inputs": [RIGHT], "parameters": {"timeout": 0}}, "microseconds", id="time"),
        pytest.param({"inputs": [RIGHT], "model_name": "x"}, "the path says", id="other-model"),
        pytest.param(
            {
                "inputs": [RIGHT],
                "outputs": [{"name": "probabilities", "parameters": {"classification": 1001}}],
            },
            "has 1000 values, not 1001",
            id="too-many-classes",
        ),
        pytest.param(
            {
                "inputs": [RIGHT],
                "outputs": [{"name": "embedding", "parameters": {"shared_memory_region": "a"}}],
            },
            "'shared_memory_region'",
            id="shared-memory",
        ),
        pytest.param({"inputs": [files(b"text")]}, "Unrecognized image format", id="not-an-image"),
        pytest.param(
            {"inputs": [files(PHOTO, b"text")]},
            "image 1 of 2: Unrecognized",
            id="second-not-an-image",
        ),
    ],
)
def test_a_wrong_request_is_a_400_that_says_why(
    client: httpx.Client, asked: dict[str, Any], said: str
) -> None:
    assert said in error_of(infer(client, asked), 400)


MANY = 200_000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(
            {"inputs": [RIGHT], "outputs": [{"name": "embedding"}] * 2},
            "'embedding' is listed more than once",
            id="repeated-output",
        ),
        pytest.param({"inputs": [], "outputs": [{"name": ""}] * 9}, "at most 8", id="outputs"),
        pytest.param({"inputs": [{**RIGHT, "name": "x"}] * 9}, "at most 8 items", id="inputs"),
        pytest.param({"inputs": [[]] * MANY}, "more than 60000 lists", id="many-lists"),
        pytest.param({"inputs": [{}] * MANY}, "more than 1000 objects", id="many-objects"),
        pytest.param(
            {"inputs": [RIGHT], "parameters": {str(number): 1 for number in range(17)}},
            "at most 16 items",
            id="parameters",
        ),
        pytest.param(
            {"inputs": [], "parameters": {str(number): None for number in range(MANY)}},
            "more than 4000 quotation marks",
            id="many-parameters-that-are-wrong",
        ),
        pytest.param(
            {"inputs": [], **{str(number): None for number in range(MANY)}},
            "more than 4000 quotation marks",
            id="many-unknown-keys",
        ),
    ],
)
def test_what_is_far_too_much_is_refused_by_its_number(
    client: httpx.Client, body: dict[str, Any], said: str
) -> None:
    assert said in error_of(infer(client, body), 400)


def test_a_timeout_of_any_length_is_none(client: httpx.Client) -> None:
    asked = {"inputs": [RIGHT], "parameters": {"timeout": 10**400}}
    assert "probabilities" in outputs(infer(client, asked))


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"inputs": [{**RIGHT, "name": LONG}]}, id="input"),
        pytest.param({"inputs": [{**RIGHT, "name": LONG, "data": None}]}, id="input-without-data"),
        pytest.param({"inputs": [{**RIGHT, "datatype": LONG}]}, id="datatype"),
        pytest.param({"inputs": [{**RIGHT, LONG: 1}]}, id="key"),
        pytest.param({"inputs": [RIGHT], "outputs": [{"name": LONG}]}, id="output"),
        pytest.param({"inputs": [RIGHT], "outputs": [{"name": LONG}] * 2}, id="outputs"),
        pytest.param({"inputs": [RIGHT], "parameters": {LONG: 1}}, id="parameter"),
        pytest.param({"inputs": [RIGHT], "parameters": {"timeout": LONG}}, id="timeout"),
        pytest.param({"inputs": [RIGHT], "model_name": LONG}, id="model"),
    ],
)
def test_an_error_repeats_only_the_beginning_of_what_was_sent(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    said = error_of(infer(client, body), 400)
    assert "x" * 50 in said
    assert len(said) < 300


def test_hundreds_of_images_are_too_many_images_and_not_too_much_json(client: httpx.Client) -> None:
    urls = [f"data:image/jpeg;base64,{as_base64(PHOTO)}"] * 400
    asked = {"inputs": [{**RIGHT, "shape": [len(urls)], "data": urls}]}
    assert "the maximum is 32" in error_of(infer(client, asked), 413)


def test_what_a_damaged_image_lacks_is_a_parameter(client: httpx.Client) -> None:
    whole = encode(noise(300, 200), "JPEG")
    cut = whole[: int(len(whole) * 0.95)] + b"\xff\xd9"
    both = infer(client, {"inputs": [files(PHOTO, cut)]}).json()
    assert both["parameters"]["warnings"].startswith("image 1 of 2: ")
    assert "ends before its last pixel" in both["parameters"]["warnings"]
    assert "parameters" not in infer(client, {"inputs": [files(PHOTO)]}).json()


@pytest.mark.parametrize("length", ["-1", "x", "10000000", "٣"])
def test_a_wrong_header_length_is_refused(client: httpx.Client, length: str) -> None:
    headers = [(LENGTH_HEADER.encode(), length.encode())]
    response = client.post(f"/v2/models/{SMALL_V1}/infer", content=b"{}", headers=headers)
    assert LENGTH_HEADER in error_of(response, 400)


def test_bytes_that_belong_to_no_tensor_are_refused(client: httpx.Client) -> None:
    said = error_of(infer(client, {"inputs": [pixels()]}, PIXELS.tobytes(), b"more"), 400)
    assert "4 bytes follow the last tensor" in said


def test_limits_and_keys_hold_as_for_predict(admin: httpx.Client) -> None:
    assert "the maximum is 3" in error_of(infer(admin, {"inputs": [files(*[PHOTO] * 4)]}), 413)
    path = f"/v2/models/{SMALL_V1}/infer"
    assert "larger than the limit" in error_of(admin.post(path, content=bytes(25 * 2**20)), 413)
    squeezed = admin.post(path, content=b"x", headers={"Content-Encoding": "gzip"})
    assert "Compressed bodies are not supported" in error_of(squeezed, 415)
    assert "unknown parameter" in error_of(admin.post(f"{path}?top_k=1", content=b"x"), 422)
    late = admin.post(path, content=b"x", headers={"X-Deadline-Ms": "soon"})
    assert "X-Deadline-Ms" in error_of(late, 422)
    assert "The body is empty" in error_of(admin.post(path), 400)


def test_another_method_and_an_unknown_path_have_the_shape_of_the_protocol(
    client: httpx.Client,
) -> None:
    response = client.get(f"/v2/models/{SMALL_V1}/infer")
    assert "GET" in error_of(response, 405)
    assert response.headers["allow"] == "POST"
    assert "/v2/nothing" in error_of(client.get("/v2/nothing"), 404)
    assert "x: unknown parameter" in error_of(client.get("/v2?x=1"), 422)


def test_a_timeout_of_the_request_is_kept(client: httpx.Client) -> None:
    asked = {"inputs": [files(*[PHOTO] * 32)], "parameters": {"timeout": 1000}}
    assert "The deadline of 1 ms passed" in error_of(infer(client, asked), 504)


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


def test_keys_are_asked_for_everywhere_but_at_health(store: Path) -> None:
    with running(store, api_keys="let-me-in") as service, service.client() as client:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/v2", f"/v2/models/{SMALL_V1}", "/v2/models/stats"):
            assert "API key" in error_of(client.get(path), 401)
        assert "API key" in error_of(infer(client, {"inputs": [RIGHT]}), 401)
        client.headers["X-API-Key"] = "let-me-in"
        assert "probabilities" in outputs(infer(client, {"inputs": [RIGHT]}))


# --- the repository ------------------------------------------------------------------------------


def states(client: httpx.Client, **asked: Any) -> dict[str, str]:
    index = client.post("/v2/repository/index", json=asked).json()
    return {entry["name"]: entry["state"] for entry in index}


def steer(
    client: httpx.Client, call: str, name: str, key: str = KEY, **body: Any
) -> httpx.Response:
    path = f"/v2/repository/models/{name}/{call}"
    return client.post(path, json=body, headers={"X-API-Key": key})


def test_models_are_loaded_and_unloaded_and_stay_so(admin: httpx.Client) -> None:
    assert states(admin) == {SMALL_V1: "READY", SMALL_V2: "UNAVAILABLE"}
    assert steer(admin, "load", SMALL_V2).json() == {}
    assert states(admin, ready=True) == {SMALL_V1: "READY", SMALL_V2: "READY"}
    assert outputs(infer(admin, {"inputs": [RIGHT]}, model=SMALL_V2))
    assert steer(admin, "unload", SMALL_V1).status_code == 200
    assert SMALL_V2 in error_of(infer(admin, {"inputs": [RIGHT]}, model=SMALL_V1), 404)
    reloaded = admin.post("/models/reload", headers={"X-API-Key": KEY}).json()
    assert reloaded["unchanged"] == [SMALL_V2]
    assert states(admin) == {SMALL_V2: "READY", SMALL_V1: "UNAVAILABLE"}
    assert "the only loaded model" in error_of(steer(admin, "unload", SMALL_V2), 409)
    assert steer(admin, "load", SMALL_V1).status_code == 200
    assert steer(admin, "unload", SMALL_V2, parameters={"unload_dependents": True}).is_success
    assert states(admin, ready=True) == {SMALL_V1: "READY"}


def test_steering_needs_the_admin_key_and_names_that_there_are(admin: httpx.Client) -> None:
    assert "admin key" in error_of(steer(admin, "load", SMALL_V2, key="other"), 403)
    assert "admin key" in error_of(steer(admin, "unload", SMALL_V1, key="other"), 403)
    assert SMALL_V2 in error_of(steer(admin, "load", "nothing"), 404)
    assert error_of(steer(admin, "load", "..%2F..%2Fetc%2Fpasswd"), 404)
    assert "'config'" in error_of(steer(admin, "load", SMALL_V2, parameters={"config": "{}"}), 400)
    assert "'parameters'" in error_of(steer(admin, "load", SMALL_V2, config="{}"), 400)
    for call, name in (("load", SMALL_V2), ("unload", SMALL_V1)):
        for parameters in ([None], ["config"], 5, "x"):
            said = error_of(steer(admin, call, name, parameters=parameters), 400)
            assert "must be a JSON object" in said
    wrong = admin.post("/v2/repository/index", content=b"[]")
    assert "JSON object" in error_of(wrong, 400)


def test_without_an_admin_key_steering_is_off(client: httpx.Client) -> None:
    assert "This is disabled. Set GATEWAY_ADMIN_KEY" in error_of(
        steer(client, "load", SMALL_V1), 403
    )


@pytest.mark.parametrize("path", ["index", f"models/{SMALL_V2}/load", f"models/{SMALL_V2}/unload"])
def test_a_client_that_leaves_or_is_slow_is_no_mistake_of_ours(store: Path, path: str) -> None:
    settings = Settings(store=store, default_model=SMALL_V1, admin_key=KEY, deadline_ms=500)
    head = f"POST /v2/repository/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{{"
    with served(settings) as client:

        def counted(status: int) -> float:
            text = client.get("/metrics").text
            return metric_of(text, "gateway_requests_total", method="POST", status=str(status))

        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=LIVELINESS_S) as slow:
            slow.sendall(head.encode())
            said = slow.recv(65_536).decode()
            assert said.startswith("HTTP/1.1 408 ")
            assert "The body did not arrive within 500 ms" in said
        with socket.create_connection(address, timeout=LIVELINESS_S) as leaving:
            leaving.sendall(head.encode())
        until(lambda: counted(499) == 1, "the client is gone")
        assert counted(500) == 0
