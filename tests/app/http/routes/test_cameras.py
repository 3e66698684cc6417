"""GET /cameras, their frames, and /events."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image

from app.errors import NotFound, Overloaded, Unauthorized
from app.http.routes import cameras
from app.settings import Settings
from loadtest.cameras.scenes import plain
from tests.app.cameras.watched import SURE, put
from tests.app.problems import assert_problem
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, metric_of, running, until
from tests.serving import served

SCENES = {"bullet train": 0, "bassinet": 200}  # what the random weights say of a grey image


class Watched(NamedTuple):
    """A service that watches a folder, and the folder."""

    client: httpx.Client
    folder: Path
    events: Path


@pytest.fixture(scope="module")
def watched(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("camera")
    events = tmp_path_factory.mktemp("events") / "events.jsonl"
    gate = {"source": str(folder), "zone": [[0, 0, 0.5, 1]], "rotation": 90, **SURE}
    settings = Settings(store=store, default_model=SMALL_V1, measure_s=0)
    tables = {"cameras": {"gate": gate}, "events": {"file": str(events)}}
    with served(settings.with_tables(tables)) as client:
        until(lambda: status(client)["connected"], "the folder is watched")
        yield Watched(client, folder, events)


def status(client: httpx.Client) -> Any:
    [found] = client.get("/cameras").json()["cameras"]
    return found


def change(watched: Watched) -> None:
    """Let the camera see the other scene, and wait for its label."""
    found = status(watched.client)
    label, grey = next(each for each in SCENES.items() if each[0] != found["label"])
    put(watched.folder, f"{found['frames_seen']}.jpg", plain(grey))
    until(lambda: status(watched.client)["label"] == label, "the other label starts")


def sent(stream: Iterator[str]) -> Iterator[dict[str, str]]:
    """The fields of each server-sent event; comments have none."""
    fields: dict[str, str] = {}
    for line in stream:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def test_a_camera_tells_what_it_shows_and_where_it_looks(watched: Watched) -> None:
    change(watched)
    found = status(watched.client)
    assert (found["name"], found["model"]) == ("gate", SMALL_V1)
    assert found["source"] == {"kind": "folder", "address": str(watched.folder)}
    assert found["zone"] == [[0, 0, 0.5, 1]]
    assert watched.client.get("/cameras").json()["mqtt"] is None


def test_the_newest_frame_is_a_jpeg_turned_as_the_camera_is(watched: Watched) -> None:
    change(watched)
    response = watched.client.get("/cameras/gate/frame.jpg")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(response.content)).size == (120, 160)  # 160 wide before
    unknown = watched.client.get("/cameras/yard/frame.jpg")
    assert "Cameras: gate" in assert_problem(unknown, NotFound)


def test_events_arrive_as_they_happen_and_missed_ones_after_a_reconnect(watched: Watched) -> None:
    with watched.client.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        news = sent(response.iter_lines())
        assert next(news) == {"retry": "3000"}
        assert json.loads(next(news)["data"])["name"] == "gate"  # the state at first
        change(watched)
        event = next(each for each in news if each.get("event") in ("start", "end"))
        data = json.loads(event["data"])
        assert (event["id"], data["camera"], data["state"]) == (data["id"], "gate", event["event"])
    with watched.client.stream("GET", "/events", headers={"Last-Event-ID": ""}) as response:
        missed = []
        for each in sent(response.iter_lines()):
            if each.get("event") == "status":
                break
            missed.append(each.get("id"))
    assert event["id"] in missed
    last = {"Last-Event-ID": event["id"]}
    with watched.client.stream("GET", "/events", headers=last) as response:
        news = sent(response.iter_lines())
        next(news)
        ids = []
        for each in news:
            if each["event"] == "status":
                break
            ids.append(each["id"])
    assert ids == missed[missed.index(event["id"]) + 1 :]


def test_every_event_is_a_line_of_the_file(watched: Watched) -> None:
    change(watched)
    until(lambda: watched.events.read_bytes().endswith(b"\n"), "it is written")
    lines = [json.loads(line) for line in watched.events.read_text("utf-8").splitlines()]
    assert lines[0].keys() == {
        "id", "camera", "model", "label", "state", "probability", "started_at", "ended_at"
    }  # fmt: skip
    assert {line["camera"] for line in lines} == {"gate"}


def test_an_idle_stream_has_heartbeats(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "HEARTBEAT_S", 0.01)
    with watched.client.stream("GET", "/events") as response:
        assert next(line for line in response.iter_lines() if line == ":") == ":"


def test_only_so_many_clients_listen_and_those_that_leave_make_room(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "LISTENERS", 1)

    def refused() -> httpx.Response | None:
        with watched.client.stream("GET", "/events") as response:
            if response.status_code == 200:
                return None
            response.read()
            return response

    until(lambda: refused() is None, "earlier clients are gone")
    until(lambda: refused() is None, "this one, too")
    with httpx.Client(
        base_url=watched.client.base_url, trust_env=False, timeout=LIVELINESS_S
    ) as other:
        until(lambda: _holds(other, watched.client), "the second client is turned away")


def _holds(first: httpx.Client, second: httpx.Client) -> bool:
    """Whether a second client is turned away while a first one listens."""
    with first.stream("GET", "/events") as response:
        if response.status_code != 200:
            return False
        lines = response.iter_lines()  # while it is referenced, the connection stays
        next(lines)
        refused = second.get("/events")
        assert "1 of 1 clients" in assert_problem(refused, Overloaded)
        return True


def test_metrics_count_the_frames_of_each_camera(watched: Watched) -> None:
    change(watched)
    text = watched.client.get("/metrics").text
    seen = metric_of(text, "gateway_camera_frames_total", camera="gate")
    assert seen == status(watched.client)["frames_seen"] > 0
    assert metric_of(text, "gateway_camera_connected", camera="gate") == 1
    assert metric_of(text, "gateway_camera_frame_age_seconds", camera="gate") > 0


@pytest.mark.parametrize("path", ["/cameras", "/cameras/gate/frame.jpg", "/events"])
def test_without_cameras_the_answer_names_the_setting(client: httpx.Client, path: str) -> None:
    assert "[cameras.NAME]" in assert_problem(client.get(path), NotFound)


def test_cameras_need_a_key_where_the_other_routes_do(store: Path, tmp_path: Path) -> None:
    settings = Settings(store=store, default_model=SMALL_V1, measure_s=0, api_keys=("k",))
    tables = {"cameras": {"gate": {"source": str(tmp_path)}}}
    with served(settings.with_tables(tables)) as client:
        for path in ("/cameras", "/cameras/gate/frame.jpg", "/events"):
            assert_problem(client.get(path), Unauthorized)


@pytest.mark.unmeasured
def test_a_graceful_shutdown_ends_streams_of_events(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f"[cameras.gate]\nsource = '{tmp_path}'\n")
    with running(store, config=config, measure_s=0, drain_s=0) as service:
        with service.client() as client, client.stream("GET", "/events") as response:
            lines = response.iter_lines()
            assert next(lines) == "retry: 3000"
            service.process.terminate()
            assert list(lines)[-1] == ""  # the answer is complete, not cut
        assert service.wait() == 0
        assert "Traceback" not in service.log
