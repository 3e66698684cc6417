"""Several gateways behind one client: the least busy first, and none is waited for in vain."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mobilenet_gateway_client import Client, ClientError, Options, Problem, Retry, Unreachable
from mobilenet_gateway_client._servers import FIRST_S, Server, Servers

from app.settings import Settings
from tests.app.sample_images import encode, noise
from tests.client.scripted import GOOD, INFO, OVERLOADED, Reply, overloaded, scripted
from tests.client.test_client import Do, both
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S
from tests.serving import served

ANSWERED = httpx.Response(200)
BUSY = httpx.Response(503, headers={"Retry-After": "60"})
PATIENT = Retry(LIVELINESS_S)
HANGS_UP = Reply(0)


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


def test_the_least_busy_gateway_is_next(servers: Servers[httpx.Client]) -> None:
    one, two, three = servers.all
    two.workers = 4
    chosen: list[Server[httpx.Client] | None] = []
    for _ in range(6):  # requests a worker: one and three get one, two gets four
        found = servers.choose()
        assert found is not None
        found.in_flight += 1
        chosen.append(found)
    assert [chosen.count(server) for server in (one, two, three)] == [1, 4, 1]
    with servers.sending(one):
        assert one.in_flight == 2
    assert one.in_flight == 1


def test_one_that_fails_is_left_alone_for_longer_each_time(
    servers: Servers[httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("mobilenet_gateway_client._servers.time.monotonic", lambda: now)
    one, two, three = servers.all
    pauses = []
    for _ in range(9):
        assert servers.judge(one, failure())
        pauses.append(one.left_until - now)
    assert FIRST_S / 2 <= pauses[0] <= FIRST_S
    assert all(15 <= pause <= 30 for pause in pauses[-2:])
    assert servers.choose([two, three]) is None  # a request that failed elsewhere does not wait
    assert servers.judge(two, BUSY)
    assert two.left_until == now + 60
    assert {servers.choose() for _ in range(20)} == {three}
    assert servers.judge(three, failure())
    assert servers.choose() is three  # none is well: the one that is left for the shortest time
    now = one.left_until
    three.in_flight = 7
    assert servers.choose() is one  # for one request, which finds out
    assert servers.choose() is three
    assert not servers.judge(one, ANSWERED)
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


def test_a_gateway_that_comes_back_gets_requests_again() -> None:
    back = replace(GOOD)
    with scripted([INFO, *[HANGS_UP] * 2, back]) as flaky, scripted([INFO, GOOD]) as steady:

        def until_it_is_back() -> Iterator[bytes]:
            while len(flaky.seen) < 6:
                yield b"image"

        with Client([flaky.url, steady.url], retry=PATIENT) as client:
            found = [one for _, one in client.classify_each(until_it_is_back(), Options())]
    assert [one.error for one in found if one.error] == []
    assert flaky.paths.count("/info") == 1


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
