"""What the service does beside answering: each loop over the real parts that it looks at."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from app.service import background
from app.service.background import end_brownout, load_when_idle, poll_store, release_memory
from app.service.lifecycle import Lifecycle
from app.settings import Settings
from tests.app.inference.test_scheduler import blocked, scheduling
from tests.app.moved_clock import MovedClock
from tests.conftest import SMALL_V2
from tests.processes import LIVELINESS_S, Service, running, until
from tests.robustness.traffic import light_image
from tests.serving import served

TURNS = 20


@asynccontextmanager
async def looping(loop: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def answer(lifecycle: Lifecycle, requests: int) -> None:
    for _ in range(requests):
        lifecycle.enter()
    for _ in range(requests):
        lifecycle.leave()


def test_memory_is_given_back_once_after_any_accepted_request_when_no_image_is_left() -> None:
    """A refused body takes memory without an image ever being admitted."""
    releases: list[int] = []
    lifecycle = Lifecycle()

    def release() -> None:
        releases.append(lifecycle.finished)

    async def turns() -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def released(times: int) -> None:
        async with asyncio.timeout(LIVELINESS_S):
            while len(releases) < times:
                await asyncio.sleep(0)

    async def run() -> None:
        with scheduling() as scheduler:
            async with looping(release_memory(lifecycle, scheduler, release, every_s=0)):
                await turns()
                answer(lifecycle, 1)
                await released(1)
                await turns()
                blocker, ticket = await blocked(scheduler)
                answer(lifecycle, 3)
                await turns()
                answer(lifecycle, 2)
                blocker.let_go()
                await ticket
                await released(2)
                await turns()

    asyncio.run(run())
    assert releases == [1, 6]


class Watched:
    """The parts that the loops look at, and how often they do."""

    def __init__(self) -> None:
        self.looks = 0
        self.deadline_ms = 0.0

    def check_load(self, deadline_ms: float) -> None:
        self.looks += 1
        self.deadline_ms = deadline_ms

    def changed(self) -> bool:
        self.looks += 1
        return False


@pytest.mark.parametrize("loop", ["brownout", "poll"])
def test_a_loop_looks_as_often_as_it_is_told(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: Any = Watched()

    async def looks(times: int) -> None:
        give_up_at = time.monotonic() + LIVELINESS_S  # not of the moved clock
        while watched.looks < times:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0)

    async def run() -> None:
        clock = MovedClock(monkeypatch)
        loops = {
            "brownout": lambda: end_brownout(watched, 250.0, every_s=100),
            "poll": lambda: poll_store(watched, watched, every_s=100),
        }
        async with looping(loops[loop]()):
            for times in range(1, 4):
                await clock.pass_s(95)
                assert watched.looks == times - 1
                await clock.pass_s(10)
                await looks(times)

    asyncio.run(run())
    assert watched.deadline_ms == (250.0 if loop == "brownout" else 0.0)


def test_the_load_is_checked_every_two_seconds_and_the_store_as_often_as_is_set(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, float] = {}

    async def noting(name: str, every_s: float) -> None:
        told[name] = every_s

    monkeypatch.setattr(background, "end_brownout", lambda *given: noting("brownout", given[-1]))
    monkeypatch.setattr(background, "poll_store", lambda *given: noting("poll", given[-1]))
    with served(Settings(store=store, models=(SMALL_V2,), reload_poll_s=7, measure_s=0)):
        pass
    assert told == {"brownout": 2.0, "poll": 7.0}


def given_back(service: Service) -> bool:
    """More than after a start; two runs at 512 pixels take 48 MB."""
    return service.peak_resident_bytes - service.resident_bytes > 30e6


def test_a_service_gives_back_what_its_work_took(store: Path) -> None:
    files = [("image", ("light.jpg", light_image()))] * 32
    with running(store, models=SMALL_V2, measure_s=0, workers=4) as service:
        assert not given_back(service)
        with service.client() as client:
            assert client.post("/predict?resolution=512", files=files).status_code == 200
        until(lambda: given_back(service), "memory is given back")


def test_routes_are_loaded_once_at_a_moment_without_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[int] = []
    lifecycle = Lifecycle()

    async def run() -> None:
        clock = MovedClock(monkeypatch)
        with scheduling() as scheduler:
            lifecycle.enter()
            loop = load_when_idle(lambda: loads.append(lifecycle.active), lifecycle, scheduler, 2)
            task = asyncio.create_task(loop)
            for _ in range(3):
                await clock.pass_s(2)
            lifecycle.leave()
            await clock.pass_s(1.5)
            assert loads == []
            await clock.pass_s(1)
            async with asyncio.timeout(LIVELINESS_S):
                await task

    asyncio.run(run())
    assert loads == [0]
