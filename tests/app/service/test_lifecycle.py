"""Counting what is under way, so that a stop can wait for it."""

import asyncio

from app.service.lifecycle import Lifecycle

PATIENCE_S = 30


def test_a_stop_without_work_lasts_as_long_as_the_drain() -> None:
    async def run() -> bool:
        return await Lifecycle().stop(drain_s=0, timeout_s=PATIENCE_S)

    assert asyncio.run(run())


def test_a_stop_waits_for_the_last_request() -> None:
    async def run() -> None:
        lifecycle = Lifecycle()
        lifecycle.enter()
        lifecycle.enter()
        stop = asyncio.create_task(lifecycle.stop(drain_s=0, timeout_s=PATIENCE_S))
        await asyncio.sleep(0.01)
        assert lifecycle.stopping
        lifecycle.leave()
        await asyncio.sleep(0.01)
        assert not stop.done()
        lifecycle.leave()
        assert await stop

    asyncio.run(run())


def test_a_stop_gives_up_and_says_so() -> None:
    async def run() -> bool:
        lifecycle = Lifecycle()
        lifecycle.enter()
        return await lifecycle.stop(drain_s=0, timeout_s=0.01)

    assert not asyncio.run(run())
