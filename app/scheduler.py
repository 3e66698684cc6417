"""The one place that leaves the event loop: a fixed number of threads and a fair queue of images.

A job is the work on one image: decode, resize and infer in one go on one thread, which onnxruntime
and Pillow do without the GIL. A request with many images lies in the queue as one ticket, which a
thread takes, draws one image from and puts back at the end before it starts. So the images of a
request spread over all threads, and a large request waits as often as it makes others wait.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Job = Callable[[float], Result]


class Ticket(Generic[Result]):
    """The images of one request that are still to be worked on."""

    __slots__ = ("_finished", "_future", "_jobs", "_loop", "_next", "_queued_at", "_results")

    def __init__(self, jobs: Sequence[Job[Result]]) -> None:
        self._jobs = jobs
        self._results: list[Any] = [None] * len(jobs)
        self._next = 0
        # next() of a count is one step for the interpreter: the thread that draws the last
        # number knows that all others are done, without a lock.
        self._finished = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[list[Result | Exception]] = self._loop.create_future()
        self._queued_at = time.perf_counter()

    def draw(self) -> int:
        """Number of the next image; only the thread that holds the ticket asks."""
        index = self._next
        self._next += 1
        return index

    @property
    def has_more(self) -> bool:
        return self._next < len(self._jobs)

    def run(self, index: int) -> None:
        """Work on one image and, if it was the last, wake the request."""
        queue_ms = (time.perf_counter() - self._queued_at) * 1000
        try:
            self._results[index] = self._jobs[index](queue_ms)
        except Exception as error:
            self._results[index] = error
        if next(self._finished) == len(self._jobs):
            self._loop.call_soon_threadsafe(self._deliver)

    async def results(self) -> list[Result | Exception]:
        """Results in the order of the jobs; an exception stands in the place of its job."""
        return await self._future

    def _deliver(self) -> None:
        if not self._future.done():
            self._future.set_result(self._results)


class Scheduler:
    """A fixed number of threads that take turns at the tickets."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._queue: SimpleQueue[Ticket[Any] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, jobs: Sequence[Job[Result]]) -> list[Result | Exception]:
        """Work on every job, which is told how many milliseconds it has waited."""
        ticket = Ticket(jobs)
        self._queue.put(ticket)
        return await ticket.results()

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            ticket = self._queue.get()
            if ticket is None:
                if self._queue.empty():
                    return
                self._queue.put(None)  # a ticket went back behind the end: it comes first
                continue
            index = ticket.draw()
            if ticket.has_more:
                self._queue.put(ticket)
            ticket.run(index)
