"""Counting what is under way, so that a stop can wait for it."""

import asyncio

import pytest

from app.service.lifecycle import Lifecycle
from tests.app.moved_clock import MovedClock
from tests.processes import LIVELINESS_S


@pytest.mark.parametrize("requests", [0, 1])
@pytest.mark.parametrize("drain_s", [100.0, 1000.0])
def test_a_stop_lasts_as_long_as_the_drain_and_the_last_request(
    drain_s: float, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        clock = MovedClock(monkeypatch)
        lifecycle = Lifecycle()
        for _ in range(requests):
            lifecycle.enter()
        stop = asyncio.create_task(lifecycle.stop(drain_s, timeout_s=10_000))
        await asyncio.sleep(0)
        for _ in range(requests):
            lifecycle.leave()
        await clock.pass_s(drain_s - 50)
        assert not stop.done()
        await clock.pass_s(51)
        assert stop.done()
        assert await stop

    asyncio.run(run())


def test_without_a_drain_a_stop_without_work_is_done_at_once() -> None:
    async def run() -> bool:
        return await Lifecycle().stop(drain_s=0, timeout_s=LIVELINESS_S)

    assert asyncio.run(run())


def test_the_time_to_stop_ends_a_stop_whatever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock = MovedClock(monkeypatch)
        lifecycle = Lifecycle()
        lifecycle.enter()
        stop = asyncio.create_task(lifecycle.stop(drain_s=0, timeout_s=100))
        await clock.pass_s(50)
        assert not stop.done()
        await clock.pass_s(51)
        assert stop.done()
        assert not await stop

    asyncio.run(run())


def test_a_stop_waits_for_the_last_request() -> None:
    async def run() -> None:
        lifecycle = Lifecycle()
        lifecycle.enter()
        lifecycle.enter()
        stop = asyncio.create_task(lifecycle.stop(drain_s=0, timeout_s=LIVELINESS_S))
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
