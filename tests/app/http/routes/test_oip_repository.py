"""The model repository extension over HTTP: the index, and loading and unloading models."""

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.http.routes.oip_client import KEY, RIGHT, error_of, infer, outputs
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, metric_of, until
from tests.serving import served


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
