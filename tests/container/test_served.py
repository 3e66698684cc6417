"""The service end to end, by its address alone: SERVICE_URL names one, else a process is started.

`make image-test` runs this against the container, `make test` against a local process.
"""

import base64
import os
import re
from collections.abc import Iterator

import httpx
import pytest

from app.errors import BadQuery, NotAnImage, UnknownModel
from tests.app.problems import assert_problem
from tests.app.sample_images import chelsea, encode
from tests.conftest import REAL_MODEL
from tests.processes import LIVELINESS_S, metric_of, running

CAT = "Egyptian cat"
FORMS = (REAL_MODEL, f"{REAL_MODEL}_ptq")  # the image has both, and the CPU decides


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    if url := os.environ.get("SERVICE_URL"):
        with httpx.Client(base_url=url, timeout=LIVELINESS_S, trust_env=False) as client:
            yield client
        return
    store = request.getfixturevalue("real_store")
    with running(store, models=REAL_MODEL) as process, process.client() as client:
        yield client


@pytest.fixture(scope="module")
def photo() -> bytes:
    return encode(chelsea(), "JPEG")


def test_it_lives_and_is_ready(service: httpx.Client) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_is_decoded_to_the_same_cat(service: httpx.Client, image_format: str) -> None:
    answer = service.post("/predict", content=encode(chelsea(), image_format)).json()
    assert answer["model"] == service.get("/info").json()["default_model"]
    assert answer["model"] in FORMS
    [result] = answer["results"]
    assert result["predictions"][0]["label"] == CAT


def test_a_form_and_json_are_answered_like_raw_bytes(service: httpx.Client, photo: bytes) -> None:
    encoded = base64.b64encode(photo).decode()
    answers = [
        service.post("/predict", content=photo),
        service.post("/predict", files={"a": photo}),
        service.post("/predict", json={"images": [encoded]}),
    ]
    ranked = [answer.json()["results"][0]["predictions"] for answer in answers]
    assert ranked[0] == ranked[1] == ranked[2] != []


def test_another_resolution_of_the_same_weights_still_sees_the_cat(
    service: httpx.Client, photo: bytes
) -> None:
    for side in (160, 320):
        answer = service.post("/predict", params={"resolution": side}, content=photo).json()
        assert answer["resolution"] == side
        assert "cat" in answer["results"][0]["predictions"][0]["label"]


def test_errors_are_problems_with_a_type(service: httpx.Client, photo: bytes) -> None:
    assert_problem(service.post("/predict", content=b"no image"), NotAnImage)
    assert_problem(service.post("/predict", params={"model": "x"}, content=photo), UnknownModel)
    assert_problem(service.post("/predict", params={"top": 1}, content=photo), BadQuery)


def test_models_metrics_and_the_description_are_there(service: httpx.Client) -> None:
    models = service.get("/models").json()["models"]
    assert {model["name"] for model in models} <= set(FORMS)
    [default] = [model for model in models if model["default"]]
    assert (default["params"], default["providers"]) == (3504872, ["cpu"])
    assert service.get(f"/models/{REAL_MODEL}/layers").json()["layers"]
    assert service.get("/openapi.json").json()["info"]["title"] == "mobilenet-gateway"
    info = service.get("/info").json()
    assert info["runs_on"][default["name"]] == ["cpu"]
    text = service.get("/metrics").text
    assert metric_of(text, "gateway_model_params", model=default["name"]) == 3504872
    assert metric_of(text, "process_resident_memory_bytes") > 0


def test_the_page_and_the_reference_are_there_with_their_files(service: httpx.Client) -> None:
    for path in ("/", "/teach", "/watch", "/docs"):
        page = service.get(path)
        assert page.status_code == 200
        files = re.findall(r'(?:href|src)="(static/[^"]+)"', page.text)
        assert files
        for file in files:
            assert service.get(f"/{file}").status_code == 200, file
