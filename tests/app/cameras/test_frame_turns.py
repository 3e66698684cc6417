"""Frames behind requests: none goes to a worker that a request could want."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from app.cameras.frame_turns import FrameTurns
from app.inference.scheduler import Scheduler, Ticket
from app.service.lifecycle import Lifecycle
from tests.app.cameras.watched import until

MANY = 100


class Worked:
    """Jobs that stay on their workers until released."""

    def __init__(self, workers: int) -> None:
        self.scheduler = Scheduler(workers, queue_limit=64)
        self.turns = FrameTurns(self.scheduler, Lifecycle())
        self.frames = 0
        self.most_frames = 0
        self.may_answer = threading.Semaphore(0)  # a request
        self.may_look = threading.Semaphore(0)  # at a frame

    def request(self) -> Ticket[None]:
        return self._submit(self.may_answer)

    def release_all(self) -> None:
        self.may_answer.release(MANY)
        self.may_look.release(MANY)

    async def frame(self) -> None:
        """Wait for a turn and use it."""
        async with self.turns.turn():
            self.frames += 1
            self.most_frames = max(self.most_frames, self.frames)
            await self._submit(self.may_look)
            self.frames -= 1

    def _submit(self, may_end: threading.Semaphore) -> Ticket[None]:
        def hold(_queue_ms: float) -> None:
            may_end.acquire()

        return self.scheduler.submit([hold])


@pytest.fixture(params=[1, 2, 4])
def worked(request: pytest.FixtureRequest) -> Iterator[Worked]:
    made = Worked(request.param)
    yield made
    made.release_all()
    made.scheduler.close()


@asynccontextmanager
async def cameras(worked: Worked, count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Frames that wait for their turns."""
    tasks = [asyncio.create_task(worked.frame()) for _ in range(count)]
    yield tasks
    worked.release_all()
    await asyncio.gather(*tasks)


def test_frames_leave_one_worker_of_several_to_requests(worked: Worked) -> None:
    async def work() -> None:
        places = max(1, worked.scheduler.workers - 1)
        async with cameras(worked, 8) as tasks:
            await until(lambda: worked.frames == places, "frames on their workers")
            if worked.scheduler.workers > 1:
                request = worked.request()
                await until(lambda: not worked.scheduler.waiting, "the request's worker")
                worked.may_answer.release()
                await request
        assert worked.most_frames == places
        assert all(task.done() for task in tasks)

    asyncio.run(work())


def test_no_frame_has_a_turn_while_requests_have_all_workers_or_wait(worked: Worked) -> None:
    async def work() -> None:
        workers = worked.scheduler.workers
        requests = [worked.request() for _ in range(workers + 3)]
        async with cameras(worked, 3):
            for left in range(3, -1, -1):
                await until(lambda left=left: worked.scheduler.waiting == left, "the queue")  # type: ignore[misc]  # mypy infers no lambda with a default
                await asyncio.sleep(0.05)  # longer than frames pause between two looks
                assert not worked.frames
                if left:
                    worked.may_answer.release()
            worked.may_answer.release(workers)
            for request in requests:
                await request
            await until(lambda: worked.most_frames, "a frame, now that they are answered")

    asyncio.run(work())
