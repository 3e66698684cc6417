"""GET /healthz, /readyz and /info."""

import platform
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from app.errors import BadQuery, MethodNotAllowed, NotFound
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.conftest import SMALL_V1, SMALL_V2
from tests.serving import served


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_a_started_service_lives_and_is_ready(client: httpx.Client, path: str, status: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": status}


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/info", "/models", "/metrics"],
)
def test_head_says_what_get_does_without_the_body(client: httpx.Client, path: str) -> None:
    response = client.head(path)
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0
    assert response.headers["content-type"] == client.get(path).headers["content-type"]


def test_head_goes_no_further_than_get(client: httpx.Client) -> None:
    assert client.head("/nope").status_code == 404
    assert client.head("/predict").status_code == 405
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/info"])
def test_a_query_parameter_is_refused_by_its_name(client: httpx.Client, path: str) -> None:
    detail = assert_problem(client.get(path, params={"verbose": 1, "x": 2}), BadQuery)
    assert detail == "verbose: unknown parameter; x: unknown parameter"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/info"])
def test_another_method_is_refused(client: httpx.Client, path: str) -> None:
    assert_problem(client.post(path), MethodNotAllowed)


@pytest.mark.parametrize(
    "path", ["/index.html", "/nope", "/healthz/", "/predict/", "/%2e%2e/etc/passwd"]
)
def test_an_unknown_path_is_refused(client: httpx.Client, path: str) -> None:
    assert "/docs" in assert_problem(client.get(path), NotFound)


def test_info_says_what_runs(client: httpx.Client) -> None:
    info = client.get("/info").json()
    assert info["version"] == version("mobilenet-gateway")
    assert info["onnxruntime"] == version("onnxruntime")
    assert info["pillow"] == version("pillow")
    assert info["python"] == platform.python_version()
    assert "cpu" in info["providers"]
    assert info["runs_on"] == {name: ["cpu"] for name in (SMALL_V1, SMALL_V2)}
    assert info["models"] == [SMALL_V1, SMALL_V2]
    assert info["default_model"] == SMALL_V1
    assert info["workers"] == info["cores"] >= 1
    assert info["cores_reason"]


def test_info_shows_every_setting(store: Path) -> None:
    settings = Settings(store=store, workers=3, max_images=7, models=(SMALL_V2,))
    with served(settings) as client:
        info = client.get("/info").json()
    assert info["settings"].keys() == Settings.model_fields.keys()
    assert info["settings"]["max_images"] == 7
    assert info["settings"]["models"] == [SMALL_V2]
    assert info["workers"] == 3
    assert info["default_model"] == SMALL_V2


def test_info_tells_no_secret(store: Path) -> None:
    keys = {"api_keys": "key-of-a-camera,other-key", "admin_key": "key-of-the-boss"}
    with served(Settings.model_validate({"store": store, **keys})) as client:
        response = client.get("/info", headers={"X-API-Key": "other-key"})
    assert response.json()["settings"]["api_keys"] == "set"
    assert response.json()["settings"]["admin_key"] == "set"
    assert "key-of" not in response.text
    assert "other-key" not in response.text


def test_two_services_in_one_process_have_their_own_settings(store: Path) -> None:
    with (
        served(Settings(store=store, max_images=1)) as first,
        served(Settings(store=store, max_images=2)) as second,
    ):
        limits = [one.get("/info").json()["settings"]["max_images"] for one in (first, second)]
    assert limits == [1, 2]
