"""Long JSON is spaced, so that other requests get most of the event loop."""

import asyncio

import pytest

from app.errors import Overloaded
from app.service.parse_turns import SHORT_VALUES, ParseTurns
from tests.app.moved_clock import MovedClock


def test_short_texts_never_wait() -> None:
    turns = ParseTurns()

    async def run() -> list[float]:
        turns.wait_s(10**6)
        return [turns.wait_s(SHORT_VALUES) for _ in range(1000)]

    assert asyncio.run(run()) == [0.0] * 1000


def test_long_texts_get_a_quarter_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of 224 x 224 has 150,528 values: 23 ms of parsing, 90 ms from one to the next."""
    turns = ParseTurns()

    async def run() -> list[float]:
        clock = MovedClock(monkeypatch)
        waits_s = [turns.wait_s(150_528) for _ in range(3)]
        await clock.pass_s(0.1)
        waits_s.append(turns.wait_s(150_528))
        await clock.pass_s(10)
        return [*waits_s, turns.wait_s(150_528)]

    assert asyncio.run(run()) == pytest.approx([0, 0.090, 0.181, 0.171, 0], abs=0.002)


def test_a_long_line_is_an_overload() -> None:
    turns = ParseTurns()

    async def run() -> None:
        for _ in range(23):  # 22 x 90 ms are just below 2 s
            turns.wait_s(150_528)
        with pytest.raises(Overloaded, match="binary data"):
            turns.wait_s(150_528)

    asyncio.run(run())
