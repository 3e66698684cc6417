"""/heads with other settings of the service: storage limit, models, captures and keys."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from app.errors import (
    BadQuery,
    Forbidden,
    NotFound,
    StorageFull,
    Unauthorized,
    UnknownModel,
)
from tests.app.model.stored_forms import FLOAT, INT8, put_float, put_int8
from tests.app.problems import assert_problem
from tests.app.training.colours import add, admin, photo, settings, train
from tests.conftest import SMALL_V1
from tests.processes import until
from tests.serving import served


def test_examples_have_a_limit_together(store: Path, tmp_path: Path) -> None:
    with served(settings(store, tmp_path, heads_limit_bytes=60_000)) as client:
        add(admin(client), "open", 0, 1)
        detail = assert_problem(
            client.post("/heads/other/examples/open", content=photo("open", 2)), StorageFull
        )
        assert "of 60000 bytes (heads_limit_bytes)" in detail
        assert [head["name"] for head in client.get("/heads").json()["heads"]] == ["gate"]
        client.delete("/heads/gate/labels/open")
        add(client, "open", 2, head="other")


def test_both_forms_of_the_default_model_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.gateway.int8_obstacle", lambda: None)
    (tmp_path / "store").mkdir()
    put_int8(tmp_path / "store")
    put_float(tmp_path / "store")
    heads = tmp_path / "heads"
    with served(settings(tmp_path / "store", heads, default_model="", cache=False)) as client:
        admin(client)
        for label in ("open", "closed"):
            add(client, label, *range(3))
        assert state(client, FLOAT) == "loaded"
        views = [len(np.load(path)) for path in heads.rglob("*.npy")]
        assert sorted(views) == [1] * 6 + [4] * 6  # INT8 learns from the others of the float form
        for path in list(heads.rglob("*.npy"))[:5]:
            path.unlink()  # what lacks an embedding is embedded again
        assert {form["base"] for form in train(client)["forms"]} == {FLOAT, INT8}
        assert state(client, FLOAT) == "not_loaded"  # only examples had needed it
        assert sorted(len(np.load(path)) for path in heads.rglob("*.npy")) == sorted(views)
        query = f"?base={FLOAT}"
        for label in ("open", "closed"):
            client.post(f"/heads/porch/examples/{label}{query}", content=photo(label, 1))
        assert [form["base"] for form in train(client, "porch")["forms"]] == [FLOAT]
        client.post("/heads/porch/examples/open", content=photo("open", 3))
        train(client, "porch")
        assert state(client, FLOAT) == "loaded"  # a head is served on it
        other = client.post(f"/heads/porch/examples/open?base={INT8}", content=photo("open", 2))
        assert_problem(other, BadQuery)
        on_head = client.post("/heads/attic/examples/open?base=porch", content=photo("open", 2))
        assert_problem(on_head, BadQuery)


def state(client: httpx.Client, model: str) -> object:
    return client.get(f"/models/{model}").json()["state"]


def test_captures_are_moved(store: Path, tmp_path: Path) -> None:
    image = photo("open", 0)
    kept = {"capture": tmp_path / "captures", "capture_below": 1}
    with served(settings(store, tmp_path / "heads", **kept)) as client:
        client.post("/predict", content=image)
        until(lambda: admin(client).get("/captures").json()["captures"], "the image is kept")
        [capture] = client.get("/captures").json()["captures"]
        body = {"captures": [capture["id"], "20000101T000000000000Z"]}
        moved, missing = client.post("/heads/gate/examples/open", json=body).json()["examples"]
        assert client.get(f"/heads/gate/examples/{moved['id']}").content == image
        assert missing["error"]["type"].endswith("unknown-capture")
        assert client.get("/captures").json()["captures"] == []
        again = client.post("/heads/gate/examples/open", json=body)
        assert [one["error"]["status"] for one in again.json()["examples"]] == [404, 404]


def test_only_an_administrator_may_teach(store: Path, tmp_path: Path) -> None:
    image = photo("open", 0)
    calls = [
        ("GET", "/heads"), ("GET", "/heads/gate"), ("GET", "/heads/gate/examples/1"),
        ("GET", "/heads/gate/head.npz"), ("POST", "/heads/gate/examples/open"),
        ("POST", "/heads/gate/train"), ("POST", "/heads/gate/undo"), ("DELETE", "/heads/gate"),
        ("DELETE", "/heads/gate/examples/1"), ("DELETE", "/heads/gate/labels/open"),
        ("PATCH", "/heads/gate/examples/1"),
    ]  # fmt: skip
    with served(settings(store, tmp_path, api_keys=("CLERK",))) as client:
        for method, path in calls:
            assert_problem(client.request(method, path, content=image), Unauthorized)
            clerk = client.request(method, path, content=image, headers={"X-API-Key": "CLERK"})
            assert_problem(clerk, Forbidden)
    with served(settings(store, tmp_path, admin_key=None)) as client:
        for method, path in calls:
            assert_problem(client.request(method, path, content=image), Forbidden)
    assert not list(tmp_path.rglob("*.*"))


def test_without_the_setting_there_is_nothing_to_teach(store: Path) -> None:
    with served(settings(store, None)) as client:
        detail = assert_problem(admin(client).get("/heads"), NotFound)
        assert "Set `heads` (GATEWAY_HEADS)" in detail
        upload = client.post("/heads/gate/examples/open", content=photo("open", 0))
        assert_problem(upload, NotFound)


def test_a_head_whose_base_is_gone_does_not_stop_the_start(store: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    with served(settings(store, heads)) as client:
        admin(client)
        for label in ("open", "closed"):
            add(client, label, *range(2))
        train(client)
    with served(settings(store, heads, models=(SMALL_V1,), default_model=SMALL_V1)) as client:
        assert "gate.head.npz" in admin(client).get("/models").json()["broken"]
        assert client.get("/heads/gate").json()["taught"]
        assert_problem(client.post("/heads/gate/train"), UnknownModel)
        assert client.delete("/heads/gate").status_code == 204
