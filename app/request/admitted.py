"""A request for classification from its admission to its end, whichever protocol it came in by.

Admission, limits, deadlines and accounting are the same for HTTP, the fast path and gRPC. Of HTTP
this module knows the headers only.
"""

from collections.abc import Sequence
from math import inf
from time import perf_counter
from typing import Any, TypeVar

from app.errors import (
    BadQuery,
    ClientGone,
    DeadlineExceeded,
    EmptyBody,
    RequestError,
    SlowBody,
    Stopping,
    TooManyBytes,
)
from app.inference.scheduler import Job, Ticket
from app.service.gateway import Gateway
from app.telemetry.record import Record
from app.wire import Headers

Result = TypeVar("Result")
DEADLINE_HEADER = "X-Deadline-Ms"
_DEADLINE = DEADLINE_HEADER.lower().encode()
SMALL_BYTES = 4096  # smaller chunks of a body are joined, to save one object each


class AdmittedRequest:
    """What one request holds: its place among the active requests, body bytes, queued images.

    `admit` acquires the place; `close` releases everything, whatever happened in between. Used by
    the event loop's thread only.
    """

    __slots__ = (
        "_active",
        "_body_bytes",
        "_chunks",
        "_lease",
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
        self._lease = gateway.body_quota.lease()
        self._chunks: list[bytes | bytearray] = []
        self._body_bytes = 0

    def admit(self, headers: Headers) -> None:
        """Admit the request, or reject it before its body is read.

        Raises:
            Unauthorized: the request has no valid API key.
            Stopping: the service is shutting down.
            Overloaded: the queue has no place for even one image.
            BadQuery: its deadline is not a positive number.
            TooManyBytes: it declares a body over the limit.
        """
        gateway = self.gateway
        if gateway.keys.required:
            gateway.keys.check(self.record.path, headers)
        if gateway.lifecycle.stopping:
            raise Stopping("The service is shutting down; retry on another instance.")
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
        """Add a chunk to the body.

        Raises:
            TooManyBytes: the body is over the limit.
            Overloaded: the bodies of all requests together are over the limit.
        """
        self._body_bytes += len(chunk)
        if self._body_bytes > self.gateway.settings.max_body_bytes:
            raise self._too_long()
        self._lease.take(len(chunk))
        chunks = self._chunks
        if len(chunk) >= SMALL_BYTES:
            chunks.append(chunk)
        elif chunks and isinstance(chunks[-1], bytearray):
            chunks[-1] += chunk
        else:
            chunks.append(bytearray(chunk))

    def parse_delay_s(self) -> float:
        """How long to wait before the body is parsed; raises `Overloaded` if it is too long."""
        return 0.0

    def hold_instead(self, size_bytes: int) -> None:
        """Count so many bytes in place of those of the body, which was decompressed.

        Raises:
            Overloaded: the bodies of all requests together are over the limit.
        """
        self._lease.release()
        self._lease.take(size_bytes)

    def body(self) -> bytes:
        """Return the complete body, once.

        Raises:
            EmptyBody: it has no bytes.
        """
        chunks, self._chunks = self._chunks, []
        self.record.body_bytes = self._body_bytes
        if not self._body_bytes:
            raise EmptyBody("The body is empty. Send an image.")
        return b"".join(chunks)

    def submit(self, jobs: Sequence[Job[Result]]) -> Ticket[Result]:
        """Queue one job per image.

        Raises:
            Overloaded: the queue has no place for them.
        """
        queued = perf_counter()
        self.ticket = ticket = self.gateway.scheduler.submit(jobs)
        self.record.images, self.record.queued = len(jobs), queued
        return ticket

    def too_late(self) -> SlowBody | DeadlineExceeded:
        """The error for a deadline that passed, which says where the time went."""
        if self.ticket is None:
            return SlowBody(f"The body did not arrive within {self.deadline_ms:g} ms.")
        return DeadlineExceeded(
            f"The deadline of {self.deadline_ms:g} ms passed: {self.ticket.progress()}."
        )

    def client_gone(self) -> ClientGone:
        """The error for a client that closed its connection or cancelled its call."""
        missing = "its body was complete" if self.ticket is None else "the answer was ready"
        return ClientGone(f"The client left before {missing}.")

    def fail(self, error: RequestError) -> None:
        """Record an error that ends the request, and drop its images that no worker has started."""
        self.record.error = error.type
        error.__traceback__ = None  # its frames hold the request until garbage collection
        if self.ticket is not None:
            self.ticket.abandon(error)

    def close(self) -> None:
        """Release everything that the request holds."""
        self._chunks = []
        self._lease.release()
        if self._active:
            self._active = False
            self.gateway.lifecycle.leave()

    def _too_long(self) -> TooManyBytes:
        limit = self.gateway.settings.max_body_bytes
        return TooManyBytes(f"The body is larger than the limit of {limit} bytes.")


def stopped() -> Stopping:
    """The error for a request that was still in flight when the graceful shutdown timed out."""
    return Stopping("The service stopped before the answer was ready.")


def _deadline_ms(sent: bytes, limit_ms: float) -> float:
    """The request's own deadline, or the setting's if that is sooner."""
    try:
        wanted_ms = float(sent)
    except ValueError:
        wanted_ms = 0
    if not 0 < wanted_ms < inf:
        value = sent[:50].decode("latin-1")
        raise BadQuery(f"{DEADLINE_HEADER}: {value!r} is not a positive number of milliseconds.")
    return min(wanted_ms, limit_ms)
