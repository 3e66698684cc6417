"""Several gateways behind one client: the least busy first, and none is waited for in vain."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mobilenet_gateway_client import Client, ClientError, Problem, Unreachable
from mobilenet_gateway_client._servers import FIRST_S, Server, Servers

from app.settings import Settings
from tests.app.sample_images import encode, noise
from tests.client.clients import Do, both
from tests.client.command import await_rows, command, complaints, names
from tests.client.scripted import GOOD, INFO, OVERLOADED, Reply, overloaded, scripted
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, running, until
from tests.serving import served

ANSWERED = httpx.Response(200)
BUSY = httpx.Response(503, headers={"Retry-After": "60"})


@pytest.fixture(scope="module")
def urls(store: Path) -> Iterator[list[str]]:
    """Two gateways with one worker each."""
    settings = Settings(store=store, default_model=SMALL_V1, workers=1, measure_s=0)
    with served(settings) as one, served(settings) as other:
        yield [str(client.base_url).rstrip("/") for client in (one, other)]


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens any more."""
    with scripted([INFO]) as gone:
        return gone.url


@pytest.fixture
def servers() -> Iterator[Servers[httpx.Client]]:
    made = Servers([httpx.Client(base_url=f"http://{name}", trust_env=False) for name in "abc"])
    yield made
    for server in made.all:
        server.http.close()


def failure() -> httpx.ConnectError:
    return httpx.ConnectError("refused", request=httpx.Request("GET", "http://a"))


def chosen(
    servers: Servers[httpx.Client], tried: Sequence[Server[httpx.Client]] = ()
) -> Server[httpx.Client] | None:
    """The gateway of the next request, which is over at once."""
    if attempt := servers.begin(tried):
        servers.end(attempt)
        return attempt.server
    return None


def judged(
    servers: Servers[httpx.Client],
    server: Server[httpx.Client],
    *replies: httpx.Response | httpx.TransportError,
) -> bool:
    """Whether the last of the requests that were in flight together is tried elsewhere."""
    attempts = [servers.begin(only=server) for _ in replies]
    for attempt, reply in zip(attempts, replies, strict=True):
        assert attempt is not None
        servers.end(attempt)
        elsewhere = servers.judge(attempt, reply)
    return elsewhere


def test_the_least_busy_gateway_is_next(servers: Servers[httpx.Client]) -> None:
    one, two, three = servers.all
    two.workers = 4
    attempts = [servers.begin() for _ in range(6)]
    assert None not in attempts
    # requests a worker: one and three get one, two gets four
    assert [server.in_flight for server in servers.all] == [1, 4, 1]
    for attempt in attempts:
        assert attempt is not None
        servers.end(attempt)
    assert [server.in_flight for server in (one, two, three)] == [0, 0, 0]


def test_one_that_fails_is_left_alone_for_longer_each_time(
    servers: Servers[httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("mobilenet_gateway_client._servers.time.monotonic", lambda: now)
    one, two, three = servers.all
    pauses = []
    for _ in range(9):
        assert judged(servers, one, failure())
        pauses.append(one.left_until - now)
    assert FIRST_S / 2 <= pauses[0] <= FIRST_S
    assert all(15 <= pause <= 30 for pause in pauses[-2:])
    assert chosen(servers, [two, three]) is None  # a request that failed elsewhere does not wait
    assert judged(servers, two, BUSY)
    assert two.left_until == now + 60
    assert {chosen(servers) for _ in range(20)} == {three}
    assert judged(servers, three, *[failure()] * 9)  # it died with nine requests in flight
    assert three.left_until - now <= FIRST_S
    assert chosen(servers) is three  # none is well: the one that is left for the shortest time
    now = one.left_until
    three.in_flight = 7
    assert chosen(servers) is one  # for one request, which finds out
    assert chosen(servers) is three
    assert not judged(servers, one, ANSWERED)
    assert (one.failures, one.left_until) == (0, 0)


@both
def test_images_are_shared(do: Do, urls: list[str]) -> None:
    images = [encode(noise(seed=seed)) for seed in range(40)]
    before = [_images(url) for url in urls]
    found = do(urls, "classify", images, top_k=1)
    assert [one.error for one in found] == [None] * 40
    shares = [_images(url) - then for url, then in zip(urls, before, strict=True)]
    assert sum(shares) == 40
    assert min(shares) > 0


def _images(url: str) -> int:
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=LIVELINESS_S).text
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in text.splitlines()
        if line.startswith("gateway_images_total")
    )


@both
def test_a_gateway_that_is_down_costs_nothing(do: Do, urls: list[str], nobody: str) -> None:
    images: list[Any] = [encode(noise(seed=seed)) for seed in range(20)]
    for addresses in ([nobody, urls[0]], [urls[0], nobody]):
        found = do(addresses, "classify", images)  # without retries
        assert [one.error for one in found] == [None] * 20
        assert do(addresses, "info").default_model == SMALL_V1
    with pytest.raises(Unreachable):
        do([nobody, "http://127.0.0.1:9"], "classify", images)


@both
def test_an_overloaded_gateway_passes_its_images_to_the_other(do: Do) -> None:
    with scripted([INFO, overloaded("60")]) as busy, scripted([INFO, GOOD]) as free:
        found = do([busy.url, free.url], "classify", [b"image"] * 4)
        assert [one.error for one in found] == [None] * 4
        with pytest.raises(Problem, match="Queue full"):
            do([busy.url], "classify", b"image")
    assert OVERLOADED["status"] == 503


@both
def test_the_first_gateway_that_answers_names_the_default_model(do: Do, nobody: str) -> None:
    other = replace(INFO, body={**INFO.body, "default_model": "other"})
    with scripted([INFO]) as one, scripted([other]) as two:
        for _ in range(5):
            assert do([one.url, two.url], "info").default_model == "m"
            assert do([nobody, two.url, one.url], "info").default_model == "other"


@pytest.mark.unmeasured
def test_a_killed_service_loses_no_image_and_is_used_again(store: Path, tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "rows.csv"
    photos.mkdir()
    image = encode(noise(320, 240))
    (photos / "000.jpg").write_bytes(image)
    for number in range(1, 300):
        (photos / f"{number:03}.jpg").hardlink_to(photos / "000.jpg")
    # Two requests of eight images at once; each of these pipes holds one up until it is filled.
    first, second, third, fourth = (photos / f"{number}.jpg" for number in (104, 112, 200, 208))
    for pipe in (first, second, third, fourth):
        pipe.unlink()
        os.mkfifo(pipe)

    settings = {"default_model": SMALL_V1, "measure_s": 0, "workers": 1}
    with running(store, **settings) as steady, running(store, **settings) as killed:
        addresses = ("--url", steady.base_url, "--url", killed.base_url)
        with command(photos, *addresses, "--output", output, "--concurrency", 2) as process:
            await_rows(output, 104)
            killed.signal(signal.SIGSTOP)
            _fill(first, image)
            _fill(second, image)
            await_rows(output, 192)  # all but the request that it will not answer
            killed.signal(signal.SIGKILL)
            killed.wait()
            await_rows(output, 200)
            with running(store, **settings, port=killed.port) as again:
                time.sleep(2 * FIRST_S)  # so long it is left alone after two failures
                _fill(third, image)
                _fill(fourth, image)
                said, complained = process.communicate(timeout=LIVELINESS_S)
                assert again.metric("gateway_images_total") > 0
    assert process.returncode == 0, complained
    [left] = complaints(complained)
    assert left.startswith(f"{killed.base_url} is left alone for a while")
    assert "300 images: 300 classified;" in said
    assert sorted(names(output)) == [f"{number:03}.jpg" for number in range(300)]


def _fill(pipe: Path, content: bytes) -> None:
    """Write to a pipe as soon as it is read; opening it would wait for that without an end."""
    opened: list[int] = []

    def is_read() -> bool:
        with suppress(OSError):
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    until(is_read, f"{pipe.name} is read")
    os.set_blocking(opened[0], True)
    with open(opened[0], "wb") as file:  # noqa: PTH123  a descriptor has no path
        file.write(content)


def test_answers_of_the_gateway_itself_are_not_tried_elsewhere() -> None:
    unknown = Reply(404, {
        "type": "urn:mobilenet-gateway:unknown-model", "title": "Unknown model", "status": 404,
        "detail": "Unknown model 'x'.",
    })  # fmt: skip
    with scripted([unknown]) as one, scripted([unknown]) as other:
        with (
            Client([one.url, other.url]) as client,
            pytest.raises(ClientError, match="Unknown model 'x'"),
        ):
            client.classify(b"image", model="x")
        assert len(one.seen) + len(other.seen) == 1


@pytest.mark.parametrize(
    "urls", [[], ["http://a", "http://a/"], ["http://a", "http://user:secret@a"]], ids=str
)
def test_each_address_is_given_once(urls: list[str]) -> None:
    with pytest.raises(ValueError, match="each once") as raised:
        Client(urls)
    assert "secret" not in str(raised.value)
