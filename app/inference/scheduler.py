"""The one place that leaves the event loop: a fixed number of threads and a fair queue of images.

A job is the work on one image: decode, resize and infer in one go on one thread, which onnxruntime
and Pillow do without the GIL. A request with many images lies in the queue as one ticket, which a
thread takes, draws one image from and puts back at the end before it starts. So the images of a
request spread over all threads, and a large request waits as often as it makes others wait.

Admission is by permits: what would have to wait behind `queue_limit` images is refused at once.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from app.errors import Overloaded, RequestError

Result = TypeVar("Result")
Job = Callable[[float], Result]  # is told how many milliseconds it has waited

FIRST_GUESS_S = 0.01
JOIN_S = 2.0  # longer than any usual image takes
SMOOTHING = 0.05  # weight of the newest job in the running mean of the service time


class Ticket(Generic[Result]):
    """The images of one request that are still to be worked on."""

    __slots__ = (
        "_call",
        "_count",
        "_error",
        "_finished",
        "_jobs",
        "_loop",
        "_next",
        "_queued_at",
        "_results",
        "_settled",
    )

    def __init__(self, jobs: Sequence[Job[Result]], loop: asyncio.AbstractEventLoop) -> None:
        self._jobs = jobs
        self._count = len(jobs)
        self._results: list[Any] = [None] * len(jobs)
        self._next = 0
        # next() of a count is one step for the interpreter: the thread that draws the last
        # number knows that all others are done, without a lock.
        self._finished = itertools.count(1)
        self._loop = loop
        self._settled = False
        self._error: BaseException | None = None
        self._call: Callable[[Ticket[Result]], None] | None = None
        self._queued_at = time.perf_counter()

    def draw(self) -> int:
        """Number of the next image; only the thread that holds the ticket asks."""
        index = self._next
        self._next += 1
        return index

    @property
    def has_more(self) -> bool:
        return self._next < self._count

    @property
    def abandoned(self) -> bool:
        """Nobody waits any more: what is left need not be done."""
        return self._settled

    def abandon(self, error: BaseException) -> None:
        """Answer with an error now; images that no thread has started are dropped."""
        self._settle(error)

    def on_done(self, call: Callable[["Ticket[Result]"], None]) -> None:
        """Let the event loop call this, once, when all is done or abandoned."""
        if self._settled:
            call(self)
        else:
            self._call = call

    def outcomes(self) -> list[Result | Exception]:
        """Results in the order of the jobs; an exception stands in the place of its job.

        Raises:
            BaseException: what the ticket was abandoned for.
        """
        if self._error is not None:
            raise self._error
        return self._results

    def progress(self) -> str:
        """Say how far the images are."""
        waited_ms = (time.perf_counter() - self._queued_at) * 1000
        return f"workers started {self._next} of {self._count} images within {waited_ms:.0f} ms"

    def run(self, index: int) -> None:
        """Work on one image and, if it was the last, wake the request."""
        queue_ms = (time.perf_counter() - self._queued_at) * 1000
        try:
            self._results[index] = self._jobs[index](queue_ms)
        except RequestError as error:
            # Its frames hold the pixels, and are held by it until the garbage collector comes.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self._results[index] = error
        except Exception as error:
            self._results[index] = error
        if next(self._finished) == self._count:
            self._loop.call_soon_threadsafe(self._settle)

    def __await__(self) -> Generator[Any, None, list[Result | Exception]]:
        """The outcomes; who stops waiting abandons what is left."""
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
        self._jobs = ()  # lets go of the images, before the turn of an abandoned ticket comes
        call, self._call = self._call, None  # whom it calls holds the ticket: no cycle stays
        if call is not None:
            call(self)


class Scheduler:
    """A fixed number of threads that take turns at the tickets.

    Only the event loop's thread submits; each worker writes its own slot of the counters. So
    nothing here needs a lock but the queue itself, which is one in C.
    """

    def __init__(
        self,
        workers: int,
        queue_limit: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock`, in seconds, is what the service time is measured with."""
        self.workers = workers
        self.queue_limit = queue_limit
        self._clock = clock
        self._admitted = 0
        self._started = [0] * workers
        self._finished = [0] * workers
        self._service_s = [FIRST_GUESS_S] * workers
        self._queue: SimpleQueue[Ticket[Any] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"worker-{slot}", daemon=True)
            for slot in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def admitted(self) -> int:
        """Images that were ever let in."""
        return self._admitted

    @property
    def waiting(self) -> int:
        """Images that no thread has started."""
        return self._admitted - sum(self._started)

    @property
    def unfinished(self) -> int:
        """Images that wait or are worked on: the permits in use."""
        return self._admitted - sum(self._finished)

    @property
    def permits(self) -> int:
        """Most images that are admitted at once."""
        return self.workers + self.queue_limit

    @property
    def service_ms(self) -> float:
        """Running mean of the time that one image takes on one worker."""
        return sum(self._service_s) / self.workers * 1000

    @property
    def full(self) -> bool:
        """Whether one more image would be refused."""
        return self.unfinished >= self.permits

    def submit(self, jobs: Sequence[Job[Result]]) -> Ticket[Result]:
        """Queue the jobs of one request.

        Raises:
            Overloaded: more than `queue_limit` images would wait.
        """
        if self.unfinished + len(jobs) > self.permits:
            raise self.overloaded()
        self._admitted += len(jobs)
        ticket = Ticket(jobs, asyncio.get_running_loop())
        self._queue.put(ticket)
        return ticket

    def overloaded(self) -> Overloaded:
        """The refusal, with the time after which the queue will be empty."""
        drain_s = self.unfinished * self.service_ms / self.workers / 1000
        return Overloaded(
            f"Queue full: {self.waiting} of {self.queue_limit} images waiting.", drain_s
        )

    def close(self, patience_s: float = JOIN_S) -> None:
        """Finish what is queued and end the threads; one that takes too long ends with the process.

        Tickets that were abandoned before take no time.
        """
        self._queue.put(None)
        give_up_at = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0, give_up_at - time.monotonic()))

    def _work(self, slot: int) -> None:
        while True:
            ticket = self._queue.get()
            if ticket is None:
                nothing_left = self._queue.empty()
                self._queue.put(None)  # for the others; what went back behind it comes first
                if nothing_left:
                    return
                continue
            self._take(ticket, slot)

    def _take(self, ticket: Ticket[Any], slot: int) -> None:
        """Do one image of a ticket, or drop all that is left of it."""
        index = ticket.draw()
        if ticket.abandoned:
            left = 1
            while ticket.has_more:
                ticket.draw()
                left += 1
            self._started[slot] += left
            self._finished[slot] += left
            return
        if ticket.has_more:
            self._queue.put(ticket)
        self._started[slot] += 1
        began = self._clock()
        ticket.run(index)
        took = self._clock() - began
        self._service_s[slot] += SMOOTHING * (took - self._service_s[slot])
        self._finished[slot] += 1
