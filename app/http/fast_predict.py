"""POST /predict answered on its connection, without a task, a scope or a framework in between.

For each request an ASGI server makes a task, a scope and messages for every chunk of the body and
the answer. That takes the event loop longer than everything else in this service;
docs/performance.md has the figures. Only plain requests come this way; the others pass through
ASGI to the same `PredictionRequest`.
"""

import asyncio
import logging
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


class Connection(Protocol):
    """The connection that a fast prediction is answered on."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

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
            self._timer = self._connection.loop.call_later(
                self._request.deadline_ms / 1000, self._on_deadline
            )

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
        if self._timer is not None:
            self._timer.cancel()
        connection, record = self._connection, self._record
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
