"""A service whose default model has two forms: what clients see, and the load of the other form."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.model.stored_forms import FLOAT, INT8, put_float, put_int8
from tests.app.sample_images import encode, noise
from tests.serving import served

JPEG = {"Content-Type": "image/jpeg"}
PHOTO = encode(noise())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_int8(tmp_path)
    put_float(tmp_path)
    return tmp_path


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(store=folder, cache=False, measure_s=0, **changes)


@pytest.fixture
def service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    # The choice by the CPU is tested elsewhere; here every machine is one whose INT8 is exact.
    monkeypatch.setattr("app.service.gateway.int8_obstacle", lambda: None)
    with served(settings(folder)) as client:
        yield client


def predicted(client: httpx.Client, query: str = "") -> dict[str, Any]:
    answer = client.post(f"/predict{query}", content=PHOTO, headers=JPEG)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def listed(client: httpx.Client) -> dict[str, tuple[str, bool]]:
    models = client.get("/models").json()["models"]
    return {model["name"]: (model["state"], model["default"]) for model in models}


def in_repository(client: httpx.Client) -> dict[str, str]:
    return {one["name"]: one["state"] for one in client.post("/v2/repository/index").json()}


def test_every_place_agrees_on_the_form_that_answers(service: httpx.Client) -> None:
    assert service.get("/readyz").status_code == 200
    assert predicted(service)["model"] == INT8
    info = service.get("/info").json()
    assert info["default_model"] == INT8
    assert info["default_reason"].startswith(f"the INT8 form of {FLOAT}, ")
    assert info["runs_on"] == {INT8: ["cpu"]}
    assert listed(service) == {FLOAT: ("not_loaded", False), INT8: ("loaded", True)}
    assert service.get(f"/models/{FLOAT}").json()["state"] == "not_loaded"
    assert service.get(f"/models/{FLOAT}/layers").status_code == 200
    assert in_repository(service) == {FLOAT: "UNAVAILABLE", INT8: "READY"}
    assert service.get(f"/v2/models/{FLOAT}").json()["outputs"][0]["shape"] == [-1, 1000]
    metrics = service.get("/metrics").text
    assert f'gateway_model_info{{family="mobilenet_v2",model="{INT8}"' in metrics
    assert f'model="{FLOAT}"' not in metrics
    assert listed(service)[FLOAT] == ("not_loaded", False)  # looking has loaded nothing


def test_naming_the_other_form_loads_it_once_for_all_who_name_it(
    service: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.model")
    with ThreadPoolExecutor(8) as pool:
        queries = [f"?model={FLOAT}", ""] * 8
        answers = list(pool.map(lambda query: predicted(service, query), queries))
    assert [answer["model"] for answer in answers] == [FLOAT, INT8] * 8
    both = [answer["results"][0]["predictions"] for answer in answers[:2]]
    assert both[0] != both[1]
    assert [answer["results"][0]["predictions"] for answer in answers] == both * 8
    assert caplog.messages.count(f"loaded: {FLOAT}") == 1
    assert listed(service) == {FLOAT: ("loaded", False), INT8: ("loaded", True)}
    assert in_repository(service) == {FLOAT: "READY", INT8: "READY"}
    assert f'model_info{{family="mobilenet_v2",model="{FLOAT}"' in service.get("/metrics").text
    assert predicted(service)["model"] == INT8  # naming changes nothing for others


def test_auto_may_choose_the_other_form(service: httpx.Client) -> None:
    # The accuracy of the INT8 form is unknown, so that only the float form is a candidate.
    assert predicted(service, "?model=auto")["model"] == FLOAT
    assert listed(service)[FLOAT] == ("loaded", False)


def test_the_open_inference_protocol_loads_the_form_that_it_is_asked_about(
    service: httpx.Client,
) -> None:
    assert service.get(f"/v2/models/{FLOAT}/ready").json() == {"name": FLOAT, "ready": True}
    assert in_repository(service)[FLOAT] == "READY"


def test_the_open_inference_protocol_loads_the_form_that_it_is_to_run(
    service: httpx.Client,
) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    answer = service.post(f"/v2/models/{FLOAT}/infer", content=PHOTO, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_name"] == FLOAT
    assert [len(output["data"]) for output in answer.json()["outputs"]] == [1000, 1280]


def test_a_form_that_cannot_be_loaded_is_a_clear_error(service: httpx.Client, folder: Path) -> None:
    (folder / f"{FLOAT}.onnx").unlink()
    answer = service.post(f"/predict?model={FLOAT}", content=PHOTO, headers=JPEG)
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:mobilenet-gateway:store-unusable"
    assert answer.json()["detail"] == f"Cannot load {FLOAT}. The server's log has the reason."
    assert service.get(f"/v2/models/{FLOAT}/ready").status_code == 500
    assert listed(service)[FLOAT] == ("not_loaded", False)
    assert predicted(service)["model"] == INT8


def test_a_form_named_by_the_settings_is_pinned(folder: Path) -> None:
    with served(settings(folder, default_model=FLOAT)) as client:
        assert predicted(client)["model"] == FLOAT
        assert listed(client) == {FLOAT: ("loaded", True), INT8: ("loaded", False)}
        assert client.get("/info").json()["default_reason"] == "default_model names it"
