"""The turns of frames at the workers, behind all requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.inference.scheduler import Scheduler
from app.service.lifecycle import Lifecycle

FIRST_LOOK_S, LONGEST_LOOK_S = 0.001, 0.016


class FrameTurns:
    """Lets a frame go to a worker only while no image waits and a worker is free.

    With two workers or more one is always left to requests, so that a request waits for no frame.
    Cameras take turns in the order in which they asked. During the shutdown no frame has a turn.
    Event loop only.
    """

    def __init__(self, scheduler: Scheduler, lifecycle: Lifecycle) -> None:
        self._scheduler, self._lifecycle = scheduler, lifecycle
        self._places = asyncio.Semaphore(max(1, scheduler.workers - 1))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._places:
            look_s = FIRST_LOOK_S
            while self._busy:
                await asyncio.sleep(look_s)
                look_s = min(2 * look_s, LONGEST_LOOK_S)
            yield

    @property
    def _busy(self) -> bool:
        scheduler = self._scheduler
        return scheduler.unfinished >= scheduler.workers or self._lifecycle.stopping
