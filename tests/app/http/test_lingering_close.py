"""A connection that is closed behind its answer is listened to for a while, by a clock we move."""

import asyncio
from typing import Any

import pytest

from app.http.lingering_close import LingeringClose
from tests.app.moved_clock import MovedClock

MIB = 2**20


class Transport:
    """The end of a connection, which only notes what is done to it."""

    def __init__(self, tls: bool = False) -> None:
        self.tls = tls
        self.half_closed = False
        self.closed = False
        self.reading = True

    def can_write_eof(self) -> bool:
        return not self.tls

    def write_eof(self) -> None:
        assert not self.tls
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        assert not self.closed
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closed
        self.reading = True


class Lingering:
    """A lingering close on a loop whose time the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tls: bool = False) -> None:
        self._clock = MovedClock(monkeypatch)
        self.transport = Transport(tls)
        transport: Any = self.transport
        self.close = LingeringClose(transport, transport, asyncio.get_running_loop())

    async def pass_s(self, seconds: float) -> bool:
        """Whether it is closed after that time."""
        await self._clock.pass_s(seconds)
        return self.transport.closed


@pytest.mark.parametrize("tls", [False, True])
def test_two_seconds_of_silence_end_it(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        lingering = Lingering(monkeypatch, tls)
        assert lingering.transport.half_closed is not tls
        assert not await lingering.pass_s(1.5)
        lingering.close.discard(1)
        assert not await lingering.pass_s(0.6)  # the first look, which found a byte
        assert not await lingering.pass_s(1.8)
        assert await lingering.pass_s(0.4)

    asyncio.run(run())


def test_half_a_minute_ends_it_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        lingering = Lingering(monkeypatch)
        for _ in range(28):
            lingering.close.discard(1)
            assert not await lingering.pass_s(1)
        for _ in range(4):
            lingering.close.discard(1)
            await lingering.pass_s(1)
        assert lingering.transport.closed

    asyncio.run(run())


def test_more_than_64_mebibytes_end_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        lingering = Lingering(monkeypatch)
        lingering.close.discard(60 * MIB)
        lingering.close.discard(4 * MIB)
        assert not lingering.transport.closed
        lingering.close.discard(1)
        assert lingering.transport.closed

    asyncio.run(run())


def test_reading_pauses_after_each_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        lingering = Lingering(monkeypatch)
        reading = []
        for _ in range(2):
            lingering.close.discard(MIB)
            reading.append(lingering.transport.reading)
            lingering.close.discard(1)
            for pause_s in (0, 0.01, 0.02):
                await lingering.pass_s(pause_s)
                reading.append(lingering.transport.reading)
        assert reading == [True, False, False, True] * 2

    asyncio.run(run())


def test_a_closed_connection_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        lingering = Lingering(monkeypatch)
        lingering.close.discard(MIB + 1)
        lingering.close.close()
        await lingering.pass_s(1)
        assert not lingering.transport.reading

    asyncio.run(run())
