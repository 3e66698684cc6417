"""HTTP as uvicorn speaks it, with limits where uvicorn has none: heads, pipelines, silence.

Without them one connection could fill the memory with headers, trailers or tiny pipelined requests,
before any limit of the application has seen a request.
"""

import asyncio
from collections.abc import Sized
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import BadRequest, Overloaded, RequestError, Stopping, TooManyBytes
from app.http.fast_predict import Exchange
from app.http.lingering_close import Linger
from app.problem import MEDIA_TYPE, to_problem
from app.request.prediction import PATH
from app.service.gateway import Gateway
from app.telemetry.record import UNMATCHED

MAX_HEAD_BYTES = 64 * 1024  # of a request line with its headers, and of trailers but one read
MAX_PIPELINED = 32  # requests that wait on one connection for the answer to an earlier one
BODY_HEADERS = (b"content-length", b"transfer-encoding")


class Protocol(HttpToolsProtocol):
    """One connection. A head has as long to arrive as a request has to be answered."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._gateway: Gateway = app_state["gateway"]
        self._unused_bytes = 0  # came in, and were neither the end of a head nor part of a body
        self._most_head_bytes = 0  # of any head that is complete now
        self._head_timer: asyncio.TimerHandle | None = None
        self._fault: RequestError | None = None
        self._in_body = False  # of the newest request
        self._deaf = False  # what comes in cannot be read any more
        self._last_words: RequestError | None = None  # behind the answers under way
        self._linger: Linger | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.flow = _PipelineFlow(transport, self.pipeline)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self._unset_keepalive_if_required()
        if self._linger is not None:
            self._linger.close()
        super().connection_lost(exc)
        if isinstance(self.cycle, Exchange):
            self.cycle.leave()
        # It holds this connection, and both would wait for the garbage collector.
        self.cycle = None  # type: ignore[assignment]  # as before the first request

    def data_received(self, data: bytes) -> None:
        if self._linger is not None:
            self._linger.pass_over(len(data))
        if self._deaf:
            return
        self._unused_bytes += len(data)
        self._most_head_bytes = self._unused_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # An offer that may be passed over (RFC 9110, 7.8), but the parser reads no further.
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse(self._fault or BadRequest("this is not HTTP as RFC 9112 has it"))
        else:
            if self._unused_bytes > MAX_HEAD_BYTES:
                self._refuse(_long_head())
            elif self._unused_bytes and self._idle and self._head_timer is None:
                self._expect_head()

    def on_message_begin(self) -> None:
        # And not at any byte: those of a body that comes after its answer buy no time.
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._fault = self._find_fault()
        if self._fault:
            raise self._fault  # the parser makes it an error of its own
        self._unused_bytes = 0
        self._head_came()
        path, _, query_string = self.url.partition(b"?")
        if path == PATH.encode() and self._is_plain():
            exchange = Exchange(self, self._gateway, self.headers)
            exchange.keep_alive = self._keeps_alive()
            self.cycle = exchange  # type: ignore[assignment]  # has all that uvicorn uses of one
            self._in_body = True
            exchange.open(query_string)
        else:
            super().on_headers_complete()
            self._in_body = True
            self.cycle.transport = _CycleTransport(self)  # type: ignore[assignment]  # as above

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        if isinstance(self.cycle, Exchange):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        self._in_body = False
        if isinstance(self.cycle, Exchange):
            self.cycle.end()
        else:
            super().on_message_complete()
        if self._linger is not None:
            self._linger.close()

    def on_response_complete(self) -> None:
        if self._last_words is not None and not self.pipeline:
            self._refuse(self._last_words)
        elif self._linger is None:
            super().on_response_complete()

    def hang_up(self) -> None:
        """Close behind the last answer; if the client still sends, not before it can read that."""
        if not (self._in_body or self._deaf):
            self.transport.close()
        elif self._linger is None and not self.transport.is_closing():
            self.flow.resume_reading()
            self._linger = Linger(self.transport, self.loop)

    def shutdown(self) -> None:
        super().shutdown()
        if self._linger is not None:
            self._linger.close()

    def cut_off(self) -> None:
        """Answer what is under way with a 503, because the time to stop is over."""
        if isinstance(self.cycle, Exchange):
            self.cycle.refuse(Stopping("the service stopped before the answer was ready"))

    def _is_plain(self) -> bool:
        """Whether nothing about a request needs what only ASGI does here."""
        return (
            self.parser.get_method() == b"POST"
            and self._idle
            and not self.flow.write_paused
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and not self._gateway.settings.cors_origins
        )

    def _keeps_alive(self) -> bool:
        """Whether the connection stays open for another request."""
        keeps: bool = self.parser.should_keep_alive()
        return keeps and self.parser.get_http_version() != "1.0"

    @property
    def _idle(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _find_fault(self) -> RequestError | None:
        """Why a request whose head is complete cannot be taken."""
        if self._linger is not None:
            return BadRequest("an earlier request closes this connection")
        if self._most_head_bytes > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            return _long_head()
        if len(self.pipeline) >= MAX_PIPELINED:
            return Overloaded(f"more than {MAX_PIPELINED} requests wait on this connection")
        # The parser reads no body behind an offer to change the protocol, as some clients make
        # with every first request.
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            return BadRequest("send bodies as HTTP/1.1 without offering an upgrade to HTTP/2")
        return None

    def _head_bytes(self) -> int:
        """About as many bytes as the head has, white space aside."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _expect_head(self) -> None:
        patience_s = self._gateway.settings.deadline_ms / 1000
        self._head_timer = self.loop.call_later(patience_s, self.timeout_keep_alive_handler)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: RequestError) -> None:
        """Answer what never became a request, behind the answers to all that did."""
        self._deaf = True
        if self._linger is not None:
            return
        if self._in_body:
            self._break_off()
        elif self._idle:
            self._answer(error)
            self.hang_up()
        else:
            self._last_words = error

    def _break_off(self) -> None:
        """End the connection in the middle of a body, which has its answer or can have none."""
        if self._idle:
            self.hang_up()
        else:
            self.transport.close()

    def _answer(self, error: RequestError) -> None:
        self._gateway.metrics.count_request(UNMATCHED, UNMATCHED, error.status)
        body = to_problem(error).model_dump_json().encode()
        self.transport.write(
            b"%scontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (STATUS_LINE[error.status], MEDIA_TYPE.encode(), len(body), body)
        )


def _long_head() -> TooManyBytes:
    return TooManyBytes(f"the headers have more than {MAX_HEAD_BYTES} bytes")


class _CycleTransport:
    """What uvicorn's cycle uses of a transport, but its connection decides how to close."""

    def __init__(self, connection: Protocol) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.hang_up


class _PipelineFlow(FlowControl):
    """Reads no further while requests wait on the connection; uvicorn would, at every answer."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()
