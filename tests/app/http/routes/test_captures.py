"""Images that a service keeps, and /captures."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from app.capture.folder import CaptureFolder
from app.errors import BadQuery, Forbidden, NotFound, Unauthorized, UnknownCapture
from app.heads.head_file import pack_head
from app.settings import Settings
from tests.app.heads.made import write_head
from tests.app.http.routes.predicting import answered, predict
from tests.app.oip.grpc_client import asked, free_port, stub
from tests.app.problems import assert_problem
from tests.app.sample_images import as_base64, encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.exports import export_random
from tests.full_disk import full_disk
from tests.processes import LIVELINESS_S, metric_of, running, until
from tests.serving import served

ADMIN = {"X-API-Key": "the-admin"}
PHOTO = encode(noise())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, and two heads on the second: to one everything is unknown, to one nothing."""
    folder = tmp_path_factory.mktemp("store")
    export_random(folder, "mobilenet_v1", 0.25, 128)
    base = export_random(folder, "mobilenet_v2", 0.35, 96)
    for name, threshold in (("stranger", 2.0), ("friend", -2.0)):
        head = replace(write_head(base, name), threshold=threshold)
        (folder / f"{name}.head.npz").write_bytes(pack_head(head, "{}"))
    return folder


@contextmanager
def capturing(models: Path, folder: Path, **settings: Any) -> Iterator[httpx.Client]:
    given: dict[str, Any] = {"admin_key": "the-admin", "default_model": SMALL_V1, "measure_s": 0}
    with served(Settings(store=models, capture=folder, **(given | settings))) as client:
        yield client


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def client(
    models: Path, grpc_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service that keeps what is uncertain or unknown, with every protocol and batches."""
    folder = tmp_path_factory.mktemp("kept")
    with capturing(models, folder, batch_max=2, workers=2, grpc_port=grpc_port) as client:
        yield client


@pytest.fixture
def fresh(client: httpx.Client) -> httpx.Client:
    assert client.delete("/captures", headers=ADMIN).status_code == 204
    return client


def seen(client: httpx.Client) -> int:
    """Images that were kept, alike or dropped since the start."""
    return int(metric_of(client.get("/metrics").text, "gateway_captures_total"))


def listed(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/captures", headers=ADMIN, params=query).json()[
        "captures"
    ]
    return found


def await_captures(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    until(lambda: len(listed(client)) >= count, f"{count} images are kept")
    return listed(client)


def test_an_uncertain_image_is_kept_as_it_was_sent(fresh: httpx.Client) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    [result] = answered(predict(fresh, PHOTO, resolution=96))
    [kept] = await_captures(fresh, 1)
    assert kept.keys() == {"id", "created", "model", "reason", "predictions", "bytes"}
    assert (kept["model"], kept["reason"], kept["bytes"]) == (SMALL_V1, "uncertain", len(PHOTO))
    assert kept["predictions"] == result["predictions"]
    assert began < datetime.fromisoformat(kept["created"]) < datetime.now(UTC)
    image = fresh.get(f"/captures/{kept['id']}", headers=ADMIN)
    assert (image.content, image.headers["content-type"]) == (PHOTO, "image/jpeg")
    assert image.headers["cache-control"] == "no-store"
    whole = fresh.get("/captures", headers=ADMIN).json()
    assert whole["limit_bytes"] == 200_000_000
    assert len(PHOTO) < whole["bytes"] < len(PHOTO) + 1000


def test_the_same_image_again_is_not_kept(fresh: httpx.Client) -> None:
    before = seen(fresh)
    for _ in range(3):
        predict(fresh, PHOTO, resolution=128)
    until(lambda: seen(fresh) == before + 3, "the images were compared")
    assert len(listed(fresh)) == 1


def test_what_is_unknown_to_a_head_is_kept_and_what_is_known_is_not(fresh: httpx.Client) -> None:
    png = encode(noise(), "PNG")
    predict(fresh, png, model="friend", resolution=96)
    predict(fresh, png, model="stranger", resolution=128)
    [kept] = await_captures(fresh, 1)
    assert (kept["model"], kept["reason"]) == ("stranger", "unknown")
    assert kept["predictions"][0]["label"] == "unknown"
    image = fresh.get(f"/captures/{kept['id']}", headers=ADMIN)
    assert image.headers["content-type"] == "image/png"


def test_of_heads_together_the_one_in_question_is_named(fresh: httpx.Client) -> None:
    answer = predict(fresh, PHOTO, model="friend,stranger", resolution=160)
    assert answered(answer)[0]["heads"].keys() == {"friend", "stranger"}
    [kept] = await_captures(fresh, 1)
    assert (kept["model"], kept["reason"]) == ("stranger", "unknown")
    assert {score["label"] for score in kept["predictions"]} == {"open", "closed", "unknown"}


@pytest.mark.parametrize(
    ("outputs", "names"),
    [(["probabilities"], ["probabilities"]), (None, ["probabilities", "embedding"])],
)
def test_the_open_inference_protocol_keeps_files_and_answers_as_before(
    fresh: httpx.Client, outputs: list[str] | None, names: list[str]
) -> None:
    resolution = 192 if outputs else 224
    wanted: dict[str, Any] = {
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [1], "data": [as_base64(PHOTO)]}
        ],
        "parameters": {"resolution": resolution},
    }
    if outputs:
        wanted["outputs"] = [{"name": name} for name in outputs]
    answer = fresh.post(f"/v2/models/{SMALL_V2}/infer", json=wanted).json()
    assert [output["name"] for output in answer["outputs"]] == names
    assert answer["outputs"][0]["shape"] == [1, 1000]
    [kept] = await_captures(fresh, 1)
    assert kept["model"] == SMALL_V2
    assert kept["predictions"][0]["probability"] == pytest.approx(max(answer["outputs"][0]["data"]))


def test_grpc_keeps_files(fresh: httpx.Client, grpc_port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        request = asked(PHOTO, model=SMALL_V2)
        request.parameters["resolution"].int64_param = 448
        stub(channel, "ModelInfer")(request, timeout=LIVELINESS_S)
    [kept] = await_captures(fresh, 1)
    assert (kept["model"], kept["bytes"]) == (SMALL_V2, len(PHOTO))


def test_pixels_and_embeddings_alone_are_not_kept(fresh: httpx.Client) -> None:
    before = seen(fresh)
    pixels = np.zeros((1, 96, 96, 3), np.uint8)
    raw = {"name": "image", "datatype": "UINT8", "shape": [1, 96, 96, 3]}
    flat = {"inputs": [raw | {"data": pixels.ravel().tolist()}]}
    assert fresh.post(f"/v2/models/{SMALL_V2}/infer", json=flat).status_code == 200
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [as_base64(PHOTO)]}
    embedding = {"inputs": [image], "outputs": [{"name": "embedding"}]}
    assert fresh.post(f"/v2/models/{SMALL_V2}/infer", json=embedding).status_code == 200
    predict(fresh, PHOTO, resolution=256)  # the queue is in order: what came before was not in it
    until(lambda: seen(fresh) > before, "the last image is done")
    assert seen(fresh) == before + 1


def test_several_images_of_a_request_are_looked_at_one_by_one(fresh: httpx.Client) -> None:
    before = seen(fresh)
    files = {str(number): PHOTO for number in range(3)} | {"bad": b"no image"}
    results = answered(fresh.post("/predict?resolution=288", files=files))
    assert [bool(result.get("error")) for result in results] == [False, False, False, True]
    until(lambda: seen(fresh) == before + 3, "each good image was looked at")
    assert len(listed(fresh)) == 1


def test_an_image_asked_for_with_its_embedding_is_kept(fresh: httpx.Client) -> None:
    [result] = answered(predict(fresh, PHOTO, resolution=320, embedding="true"))
    assert len(result["embedding"]) == 256
    assert len(await_captures(fresh, 1)) == 1


def test_one_or_all_are_deleted(fresh: httpx.Client) -> None:
    for resolution in (352, 384, 416):
        predict(fresh, PHOTO, resolution=resolution)
    ids = [kept["id"] for kept in await_captures(fresh, 3)]
    assert listed(fresh, limit=1, before=ids[0]) == [
        kept for kept in listed(fresh) if kept["id"] == ids[1]
    ]
    path = f"/captures/{ids[1]}"
    assert fresh.delete(path, headers=ADMIN).status_code == 204
    for answer in (fresh.get(path, headers=ADMIN), fresh.delete(path, headers=ADMIN)):
        assert_problem(answer, UnknownCapture)
    assert [kept["id"] for kept in listed(fresh)] == [ids[0], ids[2]]
    assert fresh.delete("/captures", headers=ADMIN).status_code == 204
    assert listed(fresh) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/captures"),
        ("DELETE", "/captures"),
        ("GET", "/captures/20261130T120000000000Z"),
        ("DELETE", "/captures/20261130T120000000000Z"),
    ],
)
def test_the_routes_need_the_admin_key(
    client: httpx.Client, off: httpx.Client, method: str, path: str
) -> None:
    assert_problem(client.request(method, path), Unauthorized)
    assert_problem(client.request(method, path, headers={"X-API-Key": "other"}), Forbidden)
    disabled = off.request(method, path, headers=ADMIN)
    assert "Set `capture`" in assert_problem(disabled, NotFound)


@pytest.fixture(scope="module")
def off(models: Path) -> Iterator[httpx.Client]:
    """A service that keeps nothing."""
    with served(Settings(store=models, admin_key="the-admin", measure_s=0)) as client:
        yield client


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "page=2"])
def test_a_bad_query_is_rejected(client: httpx.Client, query: str) -> None:
    assert_problem(client.get(f"/captures?{query}", headers=ADMIN), BadQuery)


def test_without_an_admin_key_images_are_kept_and_not_shown(models: Path, tmp_path: Path) -> None:
    with capturing(
        models, tmp_path, admin_key=None, capture_below=0, capture_audit_rate=1
    ) as client:
        assert_problem(client.get("/captures", headers=ADMIN), Forbidden)
        predict(client, PHOTO)
        until(lambda: bool(list(tmp_path.glob("*.json"))), "the image is kept")
    [image] = tmp_path.glob("*.jpeg")
    assert image.read_bytes() == PHOTO
    [kept] = CaptureFolder(tmp_path, 10**6, 24).newest(9)
    assert kept.reason == "audit"


def test_answers_go_on_when_the_disk_is_full(models: Path, tmp_path: Path) -> None:
    with capturing(models, tmp_path) as client:
        client.get("/metrics")  # loads the routes
        with full_disk(10):
            for _ in range(3):
                assert answered(predict(client, PHOTO))

            def failures() -> float:
                text = client.get("/metrics").text
                return metric_of(text, "gateway_captures_total", outcome="failed")

            until(lambda: failures() == 1, "the failure is counted")
            assert answered(predict(client, PHOTO))
            assert failures() == 1
    assert list(tmp_path.iterdir()) == []


def test_a_killed_service_starts_again_on_what_it_left(models: Path, tmp_path: Path) -> None:
    settings = {"default_model": SMALL_V1, "admin_key": "the-admin", "measure_s": 0}
    with running(models, capture=tmp_path, **settings) as service, service.client() as client:
        for resolution in (96, 128, 160, 192):
            predict(client, PHOTO, resolution=resolution)
        until(lambda: bool(list(tmp_path.glob("*.json"))), "the first is kept")
        service.process.kill()
        service.wait()
    whole = {path.stem for path in tmp_path.glob("*.json")}
    (tmp_path / "20261130T120000000000Z.part").write_bytes(b"half")
    (tmp_path / "20261130T120000000000Z.jpeg").write_bytes(b"half")
    with capturing(models, tmp_path) as client:
        assert {kept["id"] for kept in listed(client)} == whole
        assert {path.stem for path in tmp_path.iterdir()} == whole


def test_nothing_of_it_is_loaded_where_it_is_off(models: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.settings import Settings\n"
        "from app.http.application import Application\n"
        "from app.service.gateway import open_gateway\n"
        f"open_gateway(Settings(store=Path({str(models)!r}), measure_s=0)).close()\n"
        "print([name for name in sys.modules if name.startswith(('app.capture', 'app.teaching'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
