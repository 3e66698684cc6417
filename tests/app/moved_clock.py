"""The time of an event loop, which a test moves instead of waiting."""

import asyncio

import pytest

TURNS = 10  # of the loop, in which whatever is due runs


class MovedClock:
    """Moves the time of the running event loop, which otherwise goes on as usual."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        actual, self._ahead_s = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: actual() + self._ahead_s)

    async def pass_s(self, seconds: float) -> None:
        """Let that time pass, and all run that is due by then."""
        await self._settle()
        self._ahead_s += seconds
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
