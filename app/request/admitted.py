"""Work: a request that asks for classification, from its head to its answer.

Every protocol and both ways in, ASGI and the connection itself, go through here, so that admission,
limits, deadlines and accounts are the same for all. It knows nothing of HTTP but the headers.
"""

from collections.abc import Sequence
from math import inf
from time import perf_counter
from typing import Any, TypeVar

from app.errors import (
    BadQuery,
    DeadlineExceeded,
    EmptyBody,
    RequestError,
    SlowBody,
    Stopping,
    TooManyBytes,
)
from app.inference.scheduler import Job, Ticket
from app.service.auth import Headers
from app.service.gateway import Gateway
from app.telemetry.record import Record

Result = TypeVar("Result")
DEADLINE_HEADER = "X-Deadline-Ms"
_DEADLINE = DEADLINE_HEADER.lower().encode()  # as heads have it here
SMALL_BYTES = 4096  # a piece of a body that is not worth an object of its own


class Work:
    """What one request holds: a place among the active, bytes, images that wait.

    `admit` takes the place and `close` gives all of it back, whatever happened in between. Used by
    the event loop's thread only.
    """

    __slots__ = (
        "_active",
        "_body_bytes",
        "_lease",
        "_parts",
        "deadline_ms",
        "gateway",
        "record",
        "ticket",
    )

    def __init__(self, gateway: Gateway, record: Record) -> None:
        self.gateway = gateway
        self.record = record
        self.deadline_ms = gateway.settings.deadline_ms
        self.ticket: Ticket[Any] | None = None
        self._active = False
        self._lease = gateway.budget.lease()
        self._parts: list[bytes | bytearray] = []
        self._body_bytes = 0

    def admit(self, headers: Headers) -> None:
        """Let the request in, or turn it away before its body is read if that is certain already.

        Raises:
            Unauthorized: a key is needed.
            Stopping: the service is about to end.
            Overloaded: not even one image would be admitted.
            BadQuery: the deadline that it asks for is none.
            TooManyBytes: it declares a body that is too long.
        """
        gateway = self.gateway
        gateway.keys.check(self.record.path, headers)
        if gateway.lifecycle.stopping:
            raise Stopping("the service is being stopped; ask another one")
        if gateway.scheduler.full:
            raise gateway.scheduler.overloaded()
        gateway.lifecycle.enter()
        self._active = True
        for name, value in headers:
            if name == b"content-length":
                if value.isdigit() and int(value) > gateway.settings.max_body_bytes:
                    raise self._too_long()
            elif name == _DEADLINE:
                self.deadline_ms = _deadline_ms(value, gateway.settings.deadline_ms)

    def take(self, chunk: bytes) -> None:
        """Hold a piece of the body.

        Raises:
            TooManyBytes: the body turns out to be longer than one may be.
            Overloaded: the bodies of all requests together would be too long.
        """
        self._body_bytes += len(chunk)
        if self._body_bytes > self.gateway.settings.max_body_bytes:
            raise self._too_long()
        self._lease.take(len(chunk))
        parts = self._parts
        if len(chunk) >= SMALL_BYTES:
            parts.append(chunk)
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += chunk
        else:
            parts.append(bytearray(chunk))

    def body(self) -> bytes:
        """The whole body, once.

        Raises:
            EmptyBody: there is nothing in it.
        """
        parts, self._parts = self._parts, []
        self.record.body_bytes = self._body_bytes
        if not self._body_bytes:
            raise EmptyBody("the body is empty; send an image")
        return b"".join(parts)  # the only part as it is

    def submit(self, jobs: Sequence[Job[Result]]) -> Ticket[Result]:
        """Queue one job an image.

        Raises:
            Overloaded: more images would wait than may.
        """
        self.record.images = len(jobs)
        self.record.queued = perf_counter()
        self.ticket = ticket = self.gateway.scheduler.submit(jobs)
        return ticket

    def too_late(self) -> SlowBody | DeadlineExceeded:
        """The error for a deadline that passed, which says where the time went."""
        if self.ticket is None:
            return SlowBody(f"the body did not arrive within {self.deadline_ms:g} ms")
        return DeadlineExceeded(
            f"the deadline of {self.deadline_ms:g} ms passed: {self.ticket.progress()}"
        )

    def fail(self, error: RequestError) -> None:
        """Enter an error that ends the request, and drop its images that no worker has started."""
        self.record.error = error.type
        error.__traceback__ = None  # its frames hold the request, which would wait for collection
        if self.ticket is not None:
            self.ticket.abandon(error)

    def close(self) -> None:
        """Give everything back."""
        self._parts = []
        self._lease.release()
        if self._active:
            self._active = False
            self.gateway.lifecycle.leave()
        if self.gateway.metrics.shared:  # another process may be the one that is scraped
            self.gateway.observe_load()

    def _too_long(self) -> TooManyBytes:
        limit = self.gateway.settings.max_body_bytes
        return TooManyBytes(f"the body is larger than the limit of {limit} bytes")


def _deadline_ms(sent: bytes, limit_ms: float) -> float:
    """The request's own deadline, or the setting if that is sooner.

    Raises:
        BadQuery: the header is not a positive number.
    """
    try:
        wanted_ms = float(sent)
    except ValueError:
        wanted_ms = 0
    if not 0 < wanted_ms < inf:
        shown = sent[:50].decode("latin-1")
        raise BadQuery(f"{DEADLINE_HEADER}: {shown!r} is not a number of milliseconds above 0")
    return min(wanted_ms, limit_ms)
