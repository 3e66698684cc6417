"""What the service does beside answering: each loop over the real parts that it looks at."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.service.background import release_memory
from app.service.lifecycle import Lifecycle
from tests.app.inference.test_scheduler import PATIENCE_S, blocked, scheduling
from tests.conftest import SMALL_V2
from tests.processes import Service, running, until
from tests.robustness.traffic import light_image

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
        async with asyncio.timeout(PATIENCE_S):
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
