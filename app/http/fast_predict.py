"""POST /predict answered on its connection, without a task, a scope or a framework in between.

What an ASGI server does for a request (a task, its scope, messages for each piece of the body, for
the head and the body of the answer) takes longer than all that this service does for it on the
event loop; `docs/performance.md` has the figures. Only plain requests come this way; the rest goes
through ASGI (`app.http.middleware`), to the same `Prediction`.
"""

import asyncio
import logging
from typing import Protocol as Interface

from fastapi.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import MISTAKE, ClientGone, InternalError, RequestError
from app.http.schemas import ImageResult
from app.inference.scheduler import Ticket
from app.request.prediction import PATH, Prediction
from app.service.gateway import Gateway
from app.telemetry.record import ID_HEADER, TRACE_HEADER, start_record

log = logging.getLogger(__name__)


class Connection(Interface):
    """What an exchange needs of the connection that it is on."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def on_response_complete(self) -> None:
        """Go on with the next request."""

    def hang_up(self) -> None:
        """Close behind the answer that was written."""


class Exchange:
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
        self._record = start_record("POST", PATH, headers, PATH)
        if gateway.tracing:
            gateway.tracing.begin(self._record, headers)
        self._prediction = Prediction(gateway, self._record)
        self._timer: asyncio.TimerHandle | None = None

    def open(self, query_string: bytes) -> None:
        """Begin with the head; refuse at once what cannot be answered."""
        try:
            self._prediction.open(query_string, self._headers)
        except RequestError as error:
            self.refuse(error)
        except Exception as error:  # in a callback of the parser it would pass for bad HTTP
            self._give_up(error)
        else:
            self._timer = self._connection.loop.call_later(
                self._prediction.deadline_ms / 1000, self._too_late
            )

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body; after an answer it is read to its end and thrown away."""
        if self.response_complete:
            return
        try:
            self._prediction.take(chunk)
        except RequestError as error:
            self.refuse(error)

    def end(self) -> None:
        """The body is complete: to work."""
        if self.response_complete:
            return
        try:
            ticket = self._prediction.start()
        except RequestError as error:
            self.refuse(error)
        except Exception as error:
            self._give_up(error)
        else:
            ticket.on_done(self._deliver)

    def refuse(self, error: RequestError) -> None:
        """Answer with an error, unless there was an answer already."""
        if not self.response_complete:
            self.response_complete = True  # before the ticket is abandoned, which calls back
            self._send(self._prediction.refuse(error))

    def leave(self) -> None:
        """The client closed the connection."""
        where = "before its answer" if self._prediction.ticket else "in the middle of its body"
        self.refuse(ClientGone(f"the client closed the connection {where}"))

    def _deliver(self, ticket: Ticket[ImageResult]) -> None:
        if self.response_complete:
            return
        try:
            response = self._prediction.answer(ticket.outcomes())
        except RequestError as error:
            self.refuse(error)
        except Exception as error:
            self._give_up(error)
        else:
            self._send(response)

    def _too_late(self) -> None:
        self.refuse(self._prediction.too_late())

    def _give_up(self, error: Exception) -> None:
        log.error("unexpected error on %s", PATH, exc_info=error)
        self.refuse(InternalError(MISTAKE))

    def _send(self, response: Response) -> None:
        """Write the answer in one piece and give everything back."""
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
        self._prediction.close()
        self._gateway.ledger.enter(record)
