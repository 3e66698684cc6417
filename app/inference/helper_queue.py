"""The images that wait for the helper process, and the thread that waits for it in their place.

A ticket lies in the queue once, with all its images that need the helper, and goes to the end after
each: requests take turns here as they do at the workers.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.errors import Overloaded

IDLE_S = 10.0
JOIN_S = 2.0


class Deferred(Exception):
    """Raised by a job that must not hold its worker; `prepare` makes what it needs to go on.

    `prepare` is given a function that tells whether nobody waits any more. The job is then run
    again on a worker, with what `prepare` returned.
    """

    def __init__(self, prepare: Callable[[Callable[[], bool]], Any]) -> None:
        super().__init__()
        self.prepare = prepare


class Waiting(Protocol):
    """A ticket with images that need the helper."""

    deferred: deque[tuple[int, Deferred]]  # emptied when the ticket is abandoned

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""

    def prepare(self, index: int, deferred: Deferred) -> None:
        """Do what a deferred image needs, and queue it for the workers again."""

    def run(self, index: int, *prepared: Any) -> None:
        """Run the job of an image."""

    def finish(self, index: int, result: Any) -> None:
        """Set the outcome of an image."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that waits for a worker the second time."""

    ticket: Waiting
    index: int
    value: Any


class HelperQueue:
    """One thread, started with the first image, that prepares one image after another."""

    def __init__(self, limit: int, on_end: Callable[[], None], idle_s: float = IDLE_S) -> None:
        """`on_end` is called on the thread after `idle_s` without an image, and at a stop."""
        self.limit = limit
        self._on_end = on_end
        self._idle_s = idle_s
        self._tickets: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._at_work = 0

    @property
    def waiting(self) -> int:
        """Images that wait for the helper process."""
        with self._changed:
            return min(self._waiting(), self.limit)

    @property
    def unfinished(self) -> int:
        """Images that wait for the helper process or are decoded by it."""
        with self._changed:
            return self._waiting() + self._at_work

    def put(self, ticket: Waiting, index: int, deferred: Deferred) -> None:
        """Queue one image of a ticket; called on any thread.

        Raises:
            Overloaded: as many images wait as may.
        """
        with self._changed:
            # One more than may wait, whether or not the thread has taken the first one yet.
            if self._waiting() + self._at_work > self.limit or self._closed:
                raise Overloaded(
                    f"Queue full: {self.limit} of {self.limit} images waiting for the helper "
                    "process."
                )
            if ticket.abandoned:
                return
            if not ticket.deferred:
                self._tickets.append(ticket)
            ticket.deferred.append((index, deferred))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="helper", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, patience_s: float = JOIN_S) -> None:
        """Drop what waits and end the thread."""
        with self._changed:
            self._closed = True
            self._tickets.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(patience_s)

    def _waiting(self) -> int:
        return sum(len(ticket.deferred) for ticket in self._tickets)

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            ticket, (index, deferred) = turn
            ticket.prepare(index, deferred)
            del ticket, deferred, turn  # the thread waits, and holds no image meanwhile
            with self._changed:
                self._at_work = 0

    def _next(self) -> tuple[Waiting, tuple[int, Deferred]] | None:
        """The next image in turn; None, and the end of the thread, after a while without one."""
        with self._changed:
            while not self._closed:
                while self._tickets:
                    ticket = self._tickets.popleft()
                    try:
                        taken = ticket.deferred.popleft()
                    except IndexError:  # abandoned
                        continue
                    if ticket.deferred:
                        self._tickets.append(ticket)
                    self._at_work = 1
                    return ticket, taken
                if not self._changed.wait(self._idle_s):
                    break
            self._on_end()
            self._thread = None
            return None
