"""The workers, a fixed number of threads, and their fair queue of images.

This is the only place where work leaves the event loop. A job is the work on one image: decode,
resize and infer on one thread, which onnxruntime and Pillow do without the GIL. The queue holds one
ticket per request. A worker takes a ticket, takes one image from it, and puts the ticket back at
the end of the queue before it starts on the image. So the images of a request spread over all
workers, and a large request delays others no more than they delay it.

An image whose decoding has no bound leaves its worker: its job raises `Deferred`, the image waits
for the helper process in a queue of its own, and then comes back to be inferred.

A permit is a place on a worker or in the queue. Images beyond that are rejected at once.
"""

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from app.errors import Overloaded, RequestError
from app.inference.helper_queue import Deferred, HelperQueue, Prepared, Waiting

Result = TypeVar("Result")
# Its arguments: the time in the queue in milliseconds and, once it was deferred, what was prepared.
Job = Callable[..., Result]

INITIAL_SERVICE_S = 0.01  # until the first image is measured
CLOSE_TIMEOUT_S = 2.0  # longer than a typical image takes
SMOOTHING = 0.05  # weight of the newest job in the running mean of the service time
LONE_IMAGES = 3  # one after another without others in flight, the last of which uses all cores


class Ticket(Generic[Result]):
    """The jobs of one request and their results."""

    __slots__ = (
        "_callback",
        "_count",
        "_error",
        "_finished",
        "_jobs",
        "_loop",
        "_next",
        "_queued_at",
        "_results",
        "_resume",
        "_settled",
        "deferred",
    )

    def __init__(
        self,
        jobs: Sequence[Job[Result]],
        loop: asyncio.AbstractEventLoop,
        resume: Callable[[Prepared], None],
    ) -> None:
        """`resume` queues a deferred image for the workers; it runs in the event loop."""
        self.deferred: deque[tuple[int, Deferred]] = deque()
        self._resume = resume
        self._jobs = jobs
        self._count = len(jobs)
        self._results: list[Any] = [None] * len(jobs)
        self._next = 0
        # next() of a count is atomic: the thread that gets the last number knows, without a
        # lock, that all others are done.
        self._finished = itertools.count(1)
        self._loop = loop
        self._settled = False
        self._error: BaseException | None = None
        self._callback: Callable[[Ticket[Result]], None] | None = None
        self._queued_at = time.perf_counter()

    def next_index(self) -> int:
        """Index of the next image; only the thread that holds the ticket may call this."""
        index = self._next
        self._next += 1
        return index

    @property
    def has_more(self) -> bool:
        return self._next < self._count

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the results, so that the remaining images can be dropped."""
        return self._settled

    def abandon(self, error: BaseException) -> None:
        """End with an error now; images that no worker has started are dropped."""
        self._settle(error)

    def on_done(self, callback: Callable[["Ticket[Result]"], None]) -> None:
        """Let the event loop call `callback` once, when all is done or abandoned."""
        if self._settled:
            callback(self)
        else:
            self._callback = callback

    def outcomes(self) -> list[Result | Exception]:
        """Results in the order of the jobs; for a failed job its exception.

        Raises:
            BaseException: the error that the ticket was abandoned with.
        """
        if self._error is not None:
            raise self._error
        return self._results

    def progress(self) -> str:
        """Describe the progress of the images, for an error message."""
        waited_ms = (time.perf_counter() - self._queued_at) * 1000
        return f"workers started {self._next} of {self._count} images within {waited_ms:.0f} ms"

    def run(self, index: int, *prepared: Any) -> None:
        """Run the job of one image and, if it was the last, wake the request.

        Raises:
            Deferred: the job needs something that must not hold a worker.
        """
        queue_ms = (time.perf_counter() - self._queued_at) * 1000
        try:
            result: Any = self._jobs[index](queue_ms, *prepared)
        except Deferred:
            raise
        except Exception as error:
            result = error
        self.finish(index, result)

    def finish(self, index: int, result: Result | Exception) -> None:
        """Set the outcome of one image and, if it was the last, wake the request."""
        if isinstance(result, RequestError):
            # Its frames would keep the pixels in memory until the next garbage collection.
            result.__traceback__ = result.__cause__ = result.__context__ = None
        self._results[index] = result
        if next(self._finished) == self._count:
            self._call_in_loop(self._settle)

    def prepare(self, index: int, deferred: Deferred) -> None:
        """Do what a deferred image needs, and queue it for the workers again."""
        if self.abandoned:
            return
        try:
            prepared = deferred.prepare(lambda: self.abandoned)
        except Exception as error:
            if not self.abandoned:
                self.finish(index, error)
        else:
            self._call_in_loop(self._resume, Prepared(self, index, prepared))

    def _call_in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the service has stopped
            self._loop.call_soon_threadsafe(call, *arguments)

    def __await__(self) -> Generator[Any, None, list[Result | Exception]]:
        """Wait for the outcomes; a cancelled wait abandons the remaining images."""
        if not self._settled:
            waiter = self._loop.create_future()
            self.on_done(lambda _: None if waiter.done() else waiter.set_result(None))
            try:
                yield from waiter
            except BaseException:
                self._settle()
                raise
        return self.outcomes()

    def _settle(self, error: BaseException | None = None) -> None:
        if self._settled:
            return
        self._settled = True
        self._error = error
        self._jobs = ()  # frees the images even if the ticket is still in a queue
        self.deferred.clear()
        callback, self._callback = self._callback, None  # breaks a reference cycle
        if callback is not None:
            callback(self)


class Scheduler:
    """The workers and their queue.

    Only the event loop's thread submits, and each worker writes its own slot of the counters. So
    nothing but the queue needs a lock.
    """

    def __init__(
        self,
        workers: int,
        queue_limit: int,
        clock: Callable[[], float] = time.perf_counter,
        on_helper_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the workers. `clock`, in seconds, measures the service time.

        `on_helper_end` is called when no image was deferred for a while, and at the end.
        """
        self.workers = workers
        self.queue_limit = queue_limit
        self.helper_queue = HelperQueue(queue_limit, on_helper_end)
        self._clock = clock
        self._admitted = 0
        self._started = [0] * workers
        self._finished = [0] * workers
        self._service_s = [INITIAL_SERVICE_S] * workers
        self._lone_images = 0
        self._wide_thread = 0
        self._queue: SimpleQueue[Ticket[Any] | Prepared | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"worker-{slot}", daemon=True)
            for slot in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def admitted(self) -> int:
        """Number of images admitted since the start."""
        return self._admitted

    @property
    def waiting(self) -> int:
        """Number of images in the queue."""
        return self._admitted - sum(self._started)

    @property
    def unfinished(self) -> int:
        """Number of images in the queue or on a worker: the permits in use."""
        return self._admitted - sum(self._finished)

    @property
    def permits(self) -> int:
        """Maximum number of images in the queue and on the workers."""
        return self.workers + self.queue_limit

    @property
    def service_ms(self) -> float:
        """Running mean of the time that one image takes on one worker."""
        return sum(self._service_s) / self.workers * 1000

    @property
    def full(self) -> bool:
        """Whether one more image would be rejected."""
        return self.unfinished >= self.permits

    def submit(self, jobs: Sequence[Job[Result]]) -> Ticket[Result]:
        """Queue the jobs of one request.

        Raises:
            Overloaded: more than `queue_limit` images would wait.
        """
        if self.unfinished + len(jobs) > self.permits:
            raise self.overloaded()
        self._admitted += len(jobs)
        ticket = Ticket(jobs, asyncio.get_running_loop(), self._resume)
        self._queue.put(ticket)
        return ticket

    def take_all_cores(self) -> bool:
        """Whether the calling worker's image is alone; then its time is not a service time."""
        self._lone_images = 0 if self.unfinished > 1 else self._lone_images + 1
        if self._lone_images < LONE_IMAGES:
            return False
        self._wide_thread = threading.get_ident()
        return True

    def overloaded(self) -> Overloaded:
        """The error for a rejected request, with the time until the queue will be empty."""
        drain_s = self.unfinished * self.service_ms / self.workers / 1000
        waiting = min(self.waiting, self.queue_limit)  # some may start at this moment
        return Overloaded(f"Queue full: {waiting} of {self.queue_limit} images waiting.", drain_s)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Finish the queue and end the threads; those that exceed the timeout are left behind.

        Abandoned tickets take no time. Images that wait for the helper process are dropped.
        """
        self.helper_queue.close(timeout_s)
        self._queue.put(None)
        end_at = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0, end_at - time.monotonic()))

    def _resume(self, prepared: Prepared) -> None:
        """Queue an image that was admitted before, whatever the limit is now."""
        self._admitted += 1
        self._queue.put(prepared)

    def _work(self, slot: int) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                nothing_left = self._queue.empty()
                self._queue.put(None)  # for the other threads, behind tickets that were put back
                if nothing_left:
                    return
            elif isinstance(item, Prepared):
                self._started[slot] += 1
                if not item.ticket.abandoned:
                    self._run(slot, item.ticket, item.index, item.value)
                self._finished[slot] += 1
            else:
                self._run_next(item, slot)
            item = None  # would keep pixels in memory

    def _run_next(self, ticket: Ticket[Any], slot: int) -> None:
        """Run the next image of a ticket, or drop all remaining ones if it is abandoned."""
        index = ticket.next_index()
        if ticket.abandoned:
            dropped = 1
            while ticket.has_more:
                ticket.next_index()
                dropped += 1
            self._started[slot] += dropped
            self._finished[slot] += dropped
            return
        if ticket.has_more:
            self._queue.put(ticket)
        self._started[slot] += 1
        self._run(slot, ticket, index)
        self._finished[slot] += 1

    def _run(self, slot: int, ticket: Waiting, index: int, *prepared: Any) -> None:
        """Run one image and measure it, unless it is deferred."""
        began = self._clock()
        try:
            ticket.run(index, *prepared)
        except Deferred as deferred:
            deferred.__traceback__ = None
            try:
                self.helper_queue.put(ticket, index, deferred)
            except Overloaded as error:
                ticket.finish(index, error)
            return
        if self._wide_thread == threading.get_ident():
            self._wide_thread = 0
            return
        took = self._clock() - began
        self._service_s[slot] += SMOOTHING * (took - self._service_s[slot])
