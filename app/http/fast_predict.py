"""POST /predict answered on its connection, without a task, a scope or a framework in between.

For each request an ASGI server makes a task, a scope and messages for every chunk of the body and
the answer. That takes the event loop longer than everything else in this service;
docs/performance.md has the figures. Only plain requests come this way; the others pass through
ASGI to the same `PredictionRequest`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import InternalError, RequestError
from app.inference.results import ImageResult
from app.inference.scheduler import Ticket
from app.paths import PREDICT
from app.request.prediction import PredictionRequest
from app.service.gateway import Gateway
from app.telemetry.record import ID_HEADER, TRACE_HEADER, start_record

log = logging.getLogger(__name__)


class Timeouts:
    """Calls after the same time each, with one timer for all; most are removed before.

    A timer for each takes long, above all at its end, in another turn of the loop.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._waiting: dict[object, tuple[float, Callable[[], None]]] = {}  # by time
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: object, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[key] = loop.time() + self._after_s, call
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._on_time, loop)

    def remove(self, key: object) -> None:
        self._waiting.pop(key, None)

    def _on_time(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting:
            key, (due, call) = next(iter(self._waiting.items()))
            if due > loop.time():
                self._timer = loop.call_later(due - loop.time(), self._on_time, loop)
                return
            del self._waiting[key]
            call()


class Connection(Protocol):
    """The connection that a fast prediction is answered on."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    deadlines: Timeouts  # of all requests that set none of their own

    def on_response_complete(self) -> None:
        """Continue with the next request."""

    def hang_up(self) -> None:
        """Close behind the answer that was written."""


class FastPredict:
    """One request and its answer, in the place of uvicorn's cycle and with its attributes."""

    message_event = asyncio.Event()  # uvicorn sets it, nobody waits for it

    def __init__(
        self, connection: Connection, gateway: Gateway, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self._connection = connection
        self._headers = headers
        self._gateway = gateway
        self._record = start_record("POST", PREDICT, headers, PREDICT)
        if gateway.tracing:
            gateway.tracing.begin(self._record, headers)
        self._request = PredictionRequest(gateway, self._record)
        self._timer: asyncio.TimerHandle | None = None

    def open(self, query_string: bytes) -> None:
        """Start with the head; reject at once what cannot be answered."""
        try:
            self._request.open(query_string, self._headers)
        except RequestError as error:
            self.reject(error)
        except Exception as error:  # the parser would take it for bad HTTP
            self._fail(error)
        else:
            deadline_ms = self._request.deadline_ms
            if deadline_ms == self._gateway.settings.deadline_ms:
                self._connection.deadlines.add(self, self._on_deadline)
            else:
                call_later = self._connection.loop.call_later
                self._timer = call_later(deadline_ms / 1000, self._on_deadline)

    def feed(self, chunk: bytes) -> None:
        """Add a chunk to the body; after the answer it is read and discarded."""
        if self.response_complete:
            return
        try:
            self._request.take(chunk)
        except RequestError as error:
            self.reject(error)

    def end(self) -> None:
        """Queue the images, now that the body is complete."""
        if self.response_complete:
            return
        try:
            ticket = self._request.start()
        except RequestError as error:
            self.reject(error)
        except Exception as error:
            self._fail(error)
        else:
            ticket.on_done(self._on_done)

    def reject(self, error: RequestError) -> None:
        """Answer with an error, unless the request is answered already."""
        if not self.response_complete:
            self.response_complete = True  # before the ticket is abandoned, which calls back
            self._send(self._request.reject(error))

    def client_left(self) -> None:
        """End the request of a client that closed the connection."""
        if not self.response_complete:
            self.reject(self._request.client_gone())

    def _on_done(self, ticket: Ticket[ImageResult]) -> None:
        if self.response_complete:
            return
        try:
            response = self._request.answer(ticket.outcomes())
        except RequestError as error:
            self.reject(error)
        except Exception as error:
            self._fail(error)
        else:
            self._send(response)

    def _on_deadline(self) -> None:
        self.reject(self._request.too_late())

    def _fail(self, error: Exception) -> None:
        log.error("Unexpected error on %s", PREDICT, exc_info=error)
        self.reject(InternalError())

    def _send(self, response: Response) -> None:
        """Write the answer in one piece and release everything."""
        self.response_complete = True
        connection, record = self._connection, self._record
        connection.deadlines.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        record.status = response.status_code
        if not self.disconnected:
            head = [STATUS_LINE[response.status_code], ID_HEADER, b": ", record.id.encode()]
            if record.trace:
                head += (b"\r\n", TRACE_HEADER, b": ", record.trace.response)
            for name, value in response.raw_headers:
                head += (b"\r\n", name, b": ", value)
                if name == b"connection":
                    self.keep_alive = False
            if not self.keep_alive and "connection" not in response.headers:
                head.append(b"\r\nconnection: close")
            head.append(b"\r\n\r\n")
            connection.transport.write(b"".join(head) + bytes(response.body))
            if not self.keep_alive:
                connection.hang_up()
            connection.on_response_complete()
        self._request.close()
        self._gateway.request_log.add(record)
