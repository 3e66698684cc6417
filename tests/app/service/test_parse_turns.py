"""Long JSON is spaced, so that other requests get most of the event loop."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from starlette.types import Message

from app.errors import Overloaded
from app.http import asgi_request
from app.oip.inference import HttpInference
from app.service.gateway import open_gateway
from app.service.parse_turns import SHORT_VALUES, ParseTurns
from app.settings import Settings
from app.telemetry.record import start_record
from tests.app.moved_clock import MovedClock
from tests.conftest import SMALL_V1


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


def test_a_deadline_that_passes_in_the_line_is_not_blamed_on_the_client(store: Path) -> None:
    """The body is there; a turn of a million values keeps it waiting for 0.6 s."""
    gateway = open_gateway(Settings(store=store, models=(SMALL_V1,), cache=False))
    inference = HttpInference(gateway, start_record("POST", "/", [], "/"))
    headers = [(b"x-deadline-ms", b"50")]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"1," * 2 * SHORT_VALUES}

    async def run() -> tuple[int, str]:
        gateway.parse_turns.wait_s(10**6)
        head = partial(inference.open, SMALL_V1, "", headers)
        response = await asgi_request.answer(inference, head, receive)
        return response.status_code, json.loads(bytes(response.body))["error"]

    try:
        status, said = asyncio.run(run())
    finally:
        gateway.close()
    assert status == 504
    assert said.startswith("The deadline of 50 ms passed before the numbers were parsed.")
