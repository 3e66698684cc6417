"""The short way to an answer is the same as the long way, for every kind of request."""

import asyncio
import gc
import json
import os
import re
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import httpx
import pytest

from app.http.application import Application
from app.http.fast_predict import FastPredict
from app.inference.scheduler import Ticket
from app.model.model import Model
from app.request.prediction import PredictionRequest
from app.settings import Settings
from app.telemetry.record import Record
from tests.app.sample_images import encode, noise
from tests.processes import LIVELINESS_S, until
from tests.serving import served, serving

TIMES = re.compile(r'"(queue|decode|inference)_ms":[0-9.]+')
VARY = {"content-length", "date", "server"}
KEY = "k-1"


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The service on its own connections, and on those of any ASGI server.

    None has a maximum age, as only its own ones would be closed.
    """
    settings = Settings(
        store=store,
        max_body_bytes=200_000,
        max_images=3,
        api_keys=(KEY,),
        deadline_ms=10_000_000,
        connection_max_age_s=0,
    )
    with served(settings) as short, serving(Application(settings)) as long:
        yield short, long


JPEG = encode(noise(300, 200))
PNG = encode(noise(64, 64), "PNG")
FORM = [("image", ("a.jpg", JPEG, "image/jpeg")), ("image", ("b.png", PNG, "image/png"))]
REQUESTS: dict[str, dict[str, Any]] = {
    "raw": {"content": JPEG},
    "with options": {"content": JPEG, "params": {"top_k": 2, "resolution": 96}},
    "in pieces": {"content": [JPEG[at : at + 1000] for at in range(0, len(JPEG), 1000)]},
    "form": {"files": FORM},
    "form of one": {"files": FORM[:1]},
    "too many": {"files": FORM * 2},
    "broken among good": {"files": [*FORM, ("image", ("c", b"GIF89a", "image/gif"))]},
    "JSON": {"json": {"images": []}},
    "empty": {"content": b""},
    "text": {"content": b"hello", "headers": {"Content-Type": "text/plain"}},
    "not an image": {"content": b"hello"},
    "too long": {"content": b"x" * 200_001},
    "unknown model": {"content": JPEG, "params": {"model": "resnet"}},
    "unknown parameter": {"content": JPEG, "params": {"topk": 1}},
    "bad resolution": {"content": JPEG, "params": {"resolution": 100}},
    "bad deadline": {"content": JPEG, "headers": {"X-Deadline-Ms": "soon"}},
    "wrong key": {"content": JPEG, "headers": {"X-API-Key": "k-2"}},
    "close": {"content": JPEG, "headers": {"Connection": "close"}},
    "its own id": {"content": JPEG, "headers": {"X-Request-ID": "camera-7"}},
    "expects 100": {"content": JPEG, "headers": {"Expect": "100-continue"}},
}


def ask(client: httpx.Client, request: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    headers = {"X-API-Key": KEY, "X-Request-ID": "id-1"} | request.get("headers", {})
    response = client.post("/predict", **(request | {"headers": headers}))
    shown = {name: value for name, value in response.headers.items() if name not in VARY}
    return response.status_code, shown, json.loads(TIMES.sub(r'"\1_ms":0', response.text))


@pytest.mark.parametrize("kind", REQUESTS)
def test_both_ways_give_the_same_answer(both: tuple[httpx.Client, httpx.Client], kind: str) -> None:
    short, long = (ask(client, REQUESTS[kind]) for client in both)
    assert short == long


def test_the_two_ways_are_two(
    both: tuple[httpx.Client, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the long way cut off, a plain request goes through and one for the long way does not."""

    async def cut(*_: object) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr("app.http.asgi_request.answer", cut)
    short, _ = both
    headers = {"X-API-Key": KEY}
    assert short.post("/predict", content=JPEG, headers=headers).status_code == 200
    headers["Expect"] = "100-continue"
    assert short.post("/predict", content=JPEG, headers=headers).status_code == 500


def test_a_request_behind_another_on_the_same_connection_gets_its_own_answer(
    both: tuple[httpx.Client, httpx.Client],
) -> None:
    url = both[0].base_url
    head = f"POST /predict?top_k=%d HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nX-Request-ID: %d\r\n"
    head += f"Content-Length: {len(JPEG)}\r\n\r\n"
    requests = b"".join((head % (number, number)).encode() + JPEG for number in (1, 2, 3))

    async def ask_all() -> list[bytes]:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(requests)
        answers = []
        for _ in range(3):
            answers.append(await reader.readuntil(b"\r\n\r\n"))
            length = re.search(rb"content-length: (\d+)", answers[-1])
            assert length
            answers[-1] += await reader.readexactly(int(length[1]))
        writer.close()
        return answers

    for number, answer in enumerate(asyncio.run(ask_all()), 1):
        assert b"x-request-id: %d\r\n" % number in answer
        assert answer.count(b'"class_id"') == number


def test_a_mistake_of_ours_at_the_head_is_a_500_and_not_bad_http(
    both: tuple[httpx.Client, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.request.prediction.explicit_choice", fails)
    answers = [client.post("/predict", content=JPEG, headers={"X-API-Key": KEY}) for client in both]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert answers[0].json() == answers[1].json()


@pytest.mark.unmeasured  # looks at all objects, again and again
@pytest.mark.parametrize(
    "kind", ["raw", "form", "JSON", "not an image", "unknown parameter", "too late", "close"]
)
def test_an_answered_request_is_forgotten_without_a_search_for_cycles(
    both: tuple[httpx.Client, httpx.Client], kind: str
) -> None:
    """Else every photo would stay until the collector comes, which stops all for 0.1 s.

    The deadline is longer than any wait of a test, so that a timer that still runs is noticed.
    """
    late = {"content": JPEG, "headers": {"X-Deadline-Ms": "0.01"}}
    request = (REQUESTS | {"too late": late})[kind]

    def held() -> int:
        kinds = (FastPredict, PredictionRequest, Ticket, Record)
        return sum(isinstance(one, kinds) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = held()
        for _ in range(20):
            ask(both[0], request)
        until(lambda: held() < before + 20, "the requests are still held")
    finally:
        gc.enable()


def models() -> WeakSet[Model]:
    """All that are loaded in this process."""
    return WeakSet(one for one in gc.get_objects() if isinstance(one, Model))


def test_an_idle_connection_holds_no_model(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a reload would have both the old and the new one in memory until it is closed."""

    [file, *_] = sorted(store.glob("*.onnx"))
    copied = Path(shutil.copy(file, tmp_path))
    others = models()
    with served(Settings(store=tmp_path, admin_key=KEY, measure_s=0)) as client:
        client.post("/predict", content=JPEG).raise_for_status()
        [replaced] = [weakref.ref(model) for model in models() - others]
        os.utime(copied)
        answer = httpx.post(
            f"{client.base_url}/models/reload",
            headers={"X-API-Key": KEY},
            trust_env=False,
            timeout=LIVELINESS_S,
        )
        assert answer.json()["loaded"] == [copied.stem]

        def gone() -> bool:
            caplog.clear()  # pytest keeps what is logged: an error holds the model of its frames
            gc.collect()  # the service's own cycles
            return replaced() is None

        until(gone, "the model that was replaced is still held")
