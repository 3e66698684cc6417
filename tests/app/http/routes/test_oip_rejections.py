"""Requests that the Open Inference Protocol over HTTP rejects, and the errors they get."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.oip.rest_codec import LENGTH_HEADER
from tests.app.http.routes.oip_client import (
    PHOTO,
    PIXELS,
    RIGHT,
    error_of,
    files,
    infer,
    outputs,
    pixels,
)
from tests.app.sample_images import as_base64
from tests.conftest import SMALL_V1
from tests.processes import running


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


def test_keys_are_asked_for_everywhere_but_at_health(store: Path) -> None:
    with running(store, api_keys="let-me-in") as service, service.client() as client:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/v2", f"/v2/models/{SMALL_V1}", "/v2/models/stats"):
            assert "API key" in error_of(client.get(path), 401)
        assert "API key" in error_of(infer(client, {"inputs": [RIGHT]}), 401)
        client.headers["X-API-Key"] = "let-me-in"
        assert "probabilities" in outputs(infer(client, {"inputs": [RIGHT]}))
