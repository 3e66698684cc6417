"""What the opened service does beside answering."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from app import gateway
from app.gateway import open_gateway
from app.settings import Settings
from tests.conftest import SMALL_V1

TURN_S = 0.01


def test_memory_is_given_back_once_after_any_accepted_request(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused body takes memory without an image ever being admitted."""
    rests = 0

    def count(_: object) -> None:
        nonlocal rests
        rests += 1

    async def run() -> list[int]:
        opened = open_gateway(Settings(store=store, models=(SMALL_V1,), measure_s=0))
        monkeypatch.setattr(gateway, "TIDY_S", TURN_S)
        monkeypatch.setattr(gateway, "rest", count)
        tidying = asyncio.create_task(opened.tidy())
        seen = []
        for requests in (0, 1, 0, 3):
            for _ in range(requests):
                opened.lifecycle.enter()
            for _ in range(requests):
                opened.lifecycle.leave()
            await asyncio.sleep(20 * TURN_S)
            seen.append(rests)
        tidying.cancel()
        with suppress(asyncio.CancelledError):
            await tidying
        opened.close()
        return seen

    assert asyncio.run(run()) == [0, 1, 1, 2]
