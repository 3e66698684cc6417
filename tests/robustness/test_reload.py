"""Models come, change and go while the service answers."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import Forbidden, StoreUnusable, Unauthorized
from tests.app.problems import assert_problem
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import Service, running, until
from tests.robustness.stores import copied, put, put_broken
from tests.robustness.traffic import classify, light_image, load

ADMIN = {"Authorization": "Bearer the-admin-key"}
MANY = 50


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    return copied(store, tmp_path / "store")


def reload(service: Service, headers: dict[str, str] | None = None) -> httpx.Response:
    with service.client() as client:
        return client.post("/models/reload", headers=ADMIN if headers is None else headers)


def models(service: Service) -> dict[str, Any]:
    with service.client() as client:
        found: dict[str, Any] = client.get("/models").json()
    return found


def names(service: Service) -> set[str]:
    return {model["name"] for model in models(service)["models"]}


def answer(service: Service, model: str) -> Any:
    return classify(service, light_image(), model).json()["results"][0]["predictions"]


def test_without_an_admin_key_in_the_settings_nobody_reloads(store: Path) -> None:
    with running(store) as service:
        assert_problem(reload(service, {}), Forbidden)
        assert_problem(reload(service), Forbidden)


def test_a_reload_takes_new_changed_and_removed_files(folder: Path) -> None:
    with running(folder, admin_key="the-admin-key") as service:
        assert_problem(reload(service, {}), Unauthorized)
        assert_problem(reload(service, {"X-API-Key": "guessed"}), Forbidden)
        before = answer(service, SMALL_V1)
        put(folder, seed=1)
        new = put(folder, variant="new")
        (folder / f"{SMALL_V2}.onnx").unlink()
        assert names(service) == {SMALL_V1, SMALL_V2}
        changes = reload(service).json()
        assert changes == {
            "loaded": sorted([SMALL_V1, new]),
            "dropped": [SMALL_V2],
            "unchanged": [],
            "broken": {},
            "replica": f"{socket.gethostname()}:{service.process.pid}",
        }
        assert names(service) == {SMALL_V1, new}
        assert answer(service, SMALL_V1) != before
        assert classify(service, light_image(), SMALL_V2).status_code == 404
        assert service.metric("gateway_model_info") == 2


def test_a_broken_file_leaves_the_old_model_serving_and_is_named(folder: Path) -> None:
    with running(folder, admin_key="the-admin-key") as service:
        before = answer(service, SMALL_V1)
        put_broken(folder, SMALL_V1)
        put_broken(folder, "other")
        changes = reload(service).json()
        assert changes["broken"].keys() == {f"{SMALL_V1}.onnx", "other.onnx"}
        assert changes["unchanged"] == [SMALL_V1, SMALL_V2]
        assert answer(service, SMALL_V1) == before
        assert models(service)["broken"] == changes["broken"]
        assert "not a model" in changes["broken"]["other.onnx"]
        put(folder)
        (folder / "other.onnx").unlink()
        assert reload(service).json()["broken"] == {}
        assert models(service)["broken"] == {}


def test_a_store_that_is_gone_changes_nothing(folder: Path, tmp_path: Path) -> None:
    with running(folder, admin_key="the-admin-key") as service:
        folder.rename(tmp_path / "elsewhere")
        assert_problem(reload(service), StoreUnusable)
        assert classify(service, light_image()).status_code == 200
        assert "is not a folder" in service.log


def test_a_second_model_of_the_same_name_is_refused(folder: Path) -> None:
    with running(folder, admin_key="the-admin-key") as service:
        (folder / "again.onnx").write_bytes((folder / f"{SMALL_V1}.onnx").read_bytes())
        changes = reload(service).json()
        assert changes["loaded"] == []
        assert changes["dropped"] == []
        [[file, reason]] = changes["broken"].items()
        assert file == "again.onnx"
        assert f"another file already has the model {SMALL_V1}" in reason


def test_sighup_reads_the_store_again(folder: Path) -> None:
    with running(folder) as service:
        new = put(folder, variant="new")
        service.signal(signal.SIGHUP)
        until(lambda: new in names(service), "the new model is there")


def test_polling_sees_changes_and_does_not_try_a_broken_file_again(folder: Path) -> None:
    with running(folder, reload_poll_s=0.02) as service:
        put_broken(folder, "other")
        until(lambda: "other.onnx" in models(service)["broken"], "the broken file is named")
        new = put(folder, variant="new")
        until(lambda: new in names(service), "the new model is there")
        (folder / "other.onnx").unlink()
        until(lambda: not models(service)["broken"], "the broken file is forgotten")
        assert service.log.count("reloaded: ") <= 3


def test_a_reload_of_fifty_models_under_load_fails_no_request(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    first = put(folder, variant="v00", trained=False)
    for number in range(1, MANY):
        put(folder, variant=f"v{number:02}", trained=False)
    served = sorted(file.stem for file in folder.glob("*.onnx"))
    assert len(served) == MANY
    settings = {"allow_untrained": "true", "admin_key": "the-admin-key", "cache": "false"}
    with running(folder, default_model=first, **settings) as service:
        with load(service, models=tuple(served)) as seen:
            for file in folder.glob("*.onnx"):
                os.utime(file)
            assert reload(service).json()["loaded"] == served
        assert set(seen) == {"200"}
        assert service.metric("gateway_requests_total", route="/predict") == seen["200"]
