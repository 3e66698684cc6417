"""HTTP as uvicorn speaks it, with limits on heads, pipelines and silence, which uvicorn lacks.

Without them one connection could fill the memory with headers, trailers or tiny pipelined requests
before any limit of the application has seen a request. `app.http.uvicorn_internals` lists what is
used of uvicorn.
"""

import asyncio
import random
from collections.abc import Sized
from enum import Enum, auto
from math import inf
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import BadRequest, Overloaded, RequestError, TooManyBytes
from app.http.fast_predict import FastPredict, Timeouts
from app.http.half_closed import HalfClosed
from app.http.head_errors import CODING, HOST, coding_error, host_error
from app.http.lingering_close import LingeringClose
from app.http.unread_answers import UnreadAnswers
from app.http.uvicorn_internals import CycleTransport
from app.paths import PREDICT
from app.problem import MEDIA_TYPE, to_problem
from app.request.admitted import stopped
from app.service.gateway import Gateway
from app.telemetry.record import UNMATCHED

MAX_HEAD_BYTES = 64 * 1024  # of a request line with its headers, and of trailers but one read
MAX_UNSENT_BYTES = 32 * 1024  # and one answer more; with TLS it would be 512 KiB
MAX_HEADERS = 200  # each takes a hundred bytes and more, however short it is
MAX_PIPELINED = 32  # requests that wait on one connection for the answer to an earlier one
AGE_JITTER = 0.2  # so that connections which began together do not end together
MOVED_SHARE = 0.2  # of the requests that meet a full queue
BODY_HEADERS = (b"content-length", b"transfer-encoding")


class Input(Enum):
    """What the next bytes of the client belong to."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()  # they are not read any more


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
        self.headers = []  # until the first request
        self._input = Input.HEAD
        self._head = _HeadLimits()
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_error: RequestError | None = None  # the parser can only say that there is one
        self._pending_error: RequestError | None = None  # sent behind the answers in flight
        self._closing: LingeringClose | None = None
        self._half_closed: HalfClosed | None = None
        self.idle_since = self.loop.time()
        self.body_since: float | None = None  # while one arrives
        self.body_bytes = 0
        max_age_s = self._gateway.settings.connection_max_age_s or inf
        spread = random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER)  # noqa: S311  no secret
        self._ends_at = self.idle_since + max_age_s * spread
        deadline_s = self._gateway.settings.deadline_ms / 1000
        self.deadlines: Timeouts = app_state.setdefault("deadlines", Timeouts(deadline_s))
        self._idle = app_state.setdefault("idle", Timeouts(self.timeout_keep_alive))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        transport.set_write_buffer_limits(MAX_UNSENT_BYTES)
        self.flow = _PipelineFlow(transport, self.pipeline)
        timeout_s = self._gateway.settings.deadline_ms / 1000
        self._unread = UnreadAnswers(transport, self.loop, timeout_s)
        self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio allows
        """Answer a client that only closed its sending side, then close; not possible with TLS."""
        if self.is_idle or self._input is not Input.HEAD or not self.transport.can_write_eof():
            return False
        if not self.pipeline and not self._is_waiting():
            return False  # a stream has begun, which would never notice a client that is gone
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False
        if not self.pipeline and self.parser.get_http_version() != "1.0":
            self._half_closed = HalfClosed(self.transport, self.loop, self._is_waiting)
        return True

    def _is_waiting(self) -> bool:
        begun = not isinstance(self.cycle, FastPredict) and self.cycle.response_started
        return not self.is_idle and not begun

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.ignore()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._unread.ignore()
        if self._half_closed is not None:
            self._half_closed.end()
        self._unset_keepalive_if_required()
        if self._closing is not None:
            self._closing.close()
        super().connection_lost(exc)
        if isinstance(self.cycle, FastPredict):
            self.cycle.client_left()
        # A cycle of references would keep both until the garbage collector runs.
        self.cycle = None  # type: ignore[assignment]  # as before the first request

    def data_received(self, data: bytes) -> None:
        if self._closing is not None:
            self._closing.discard(len(data))
        if self._input is Input.NOTHING:
            return
        self._head.add(len(data))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The offer may be ignored (RFC 9110, section 7.8), but the parser reads no further.
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            error = self._head_error or coding_error(self.headers)
            self.reject(error or BadRequest("This is not valid HTTP (RFC 9112)."))
        else:
            if self._head.pending_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
                self.reject(_long_head())
            elif self._head.pending_bytes and self.is_idle and self._head_timer is None:
                self._expect_head()

    def on_message_begin(self) -> None:
        # Not at any byte: a body that arrives after its answer must not extend the timeout.
        self._unset_keepalive_if_required()
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        self._head_error = self._check_head()
        if self._head_error:
            raise self._head_error  # the parser turns it into an error of its own
        self._head.clear()
        self._stop_head_timer()
        self.body_since, self.body_bytes = self.loop.time(), 0
        path, _, query_string = self.url.partition(b"?")
        if path == PREDICT.encode() and self._is_plain():
            request = FastPredict(self, self._gateway, self.headers)
            request.keep_alive = self._keeps_alive()
            self.cycle = request  # type: ignore[assignment]  # has all that uvicorn uses of one
            self._input = Input.BODY
            request.open(query_string)
        else:
            begun = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()  # makes a scope, which only ASGI needs
            self.url, self.headers, self.expect_100_continue = begun
            self.scope["headers"] = self.headers
            super().on_headers_complete()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._moves()
            self._input = Input.BODY
            self.cycle.transport = CycleTransport(self.transport, self.hang_up)  # type: ignore[assignment]  # as above

    def on_body(self, body: bytes) -> None:
        self._head.clear()
        self.body_bytes += len(body)
        if isinstance(self.cycle, FastPredict):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._head.clear()
        self._input, self.body_since = Input.HEAD, None
        if isinstance(self.cycle, FastPredict):
            self.cycle.end()
        else:
            super().on_message_complete()
        if self._closing is not None:
            self._closing.close()

    def on_response_complete(self) -> None:
        if self._pending_error is not None and not self.pipeline:
            self.reject(self._pending_error)
        elif self._closing is None:
            self.idle_since = self.loop.time()
            if self.pipeline:
                super().on_response_complete()
                return
            self.server_state.total_requests += 1
            if not self.transport.is_closing():
                self.flow.resume_reading()
                self._idle.add(self, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle.remove(self)

    def timeout_keep_alive_handler(self) -> None:
        self._unread.close()

    def hang_up(self) -> None:
        """Close behind the last answer, but let a client that still sends read it first."""
        if self._input is Input.HEAD:
            self._unread.close()
        elif self._closing is None and not self.transport.is_closing():
            self.flow.resume_reading()
            self._closing = LingeringClose(self.transport, self._unread, self.loop)

    def shutdown(self) -> None:
        super().shutdown()
        if self._closing is not None:
            self._closing.close()

    def drop(self) -> None:
        """End the connection at once, in favour of another."""
        self.connections.discard(self)
        self.transport.abort()

    def cut_off(self) -> None:
        """Answer the request in flight with a 503, because the graceful shutdown timed out."""
        if isinstance(self.cycle, FastPredict):
            self.cycle.reject(stopped())

    def _is_plain(self) -> bool:
        """Whether the request needs nothing that only ASGI does here."""
        return (
            self.parser.get_method() == b"POST"
            and self.is_idle
            and not self.flow.write_paused
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and not self._gateway.settings.cors_origins
        )

    def _keeps_alive(self) -> bool:
        """Whether the connection stays open for another request."""
        keeps: bool = self.parser.should_keep_alive()
        return keeps and self.parser.get_http_version() != "1.0" and not self._moves()

    def _moves(self) -> bool:
        """Whether to close behind this answer, so that new replicas get their share of clients."""
        if self._ends_at == inf:
            return False
        full = self._gateway.scheduler.full and random.random() < MOVED_SHARE  # noqa: S311  no secret
        return full or self.loop.time() >= self._ends_at

    @property
    def is_idle(self) -> bool:
        """No request is in flight."""
        return self.cycle is None or self.cycle.response_complete

    def _check_head(self) -> RequestError | None:
        """Return the reason to reject a request whose head is complete."""
        if self._closing is not None:
            return BadRequest("An earlier request closes this connection.")
        if self._head.longest_bytes > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            return _long_head()
        if len(self.headers) > MAX_HEADERS:
            return _long_head()
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            error = host_error(self.parser.get_http_version(), hosts)
            if error is not None:
                return error
        if any(name == CODING and value != b"chunked" for name, value in self.headers):
            error = coding_error(self.headers)
            if error is not None:
                return error
        if len(self.pipeline) >= MAX_PIPELINED:
            return Overloaded(f"More than {MAX_PIPELINED} requests wait on this connection.")
        # The parser reads no body behind an offer to change the protocol, which some clients make
        # with every first request.
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            return BadRequest("Send bodies as HTTP/1.1 without offering an upgrade to HTTP/2.")
        return None

    def _head_bytes(self) -> int:
        """The approximate size of the head, without white space."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _expect_head(self) -> None:
        timeout_s = self._gateway.settings.deadline_ms / 1000
        self._head_timer = self.loop.call_later(timeout_s, self.timeout_keep_alive_handler)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def reject(self, error: RequestError) -> None:
        """Read no further; answer with the error behind the answers to all earlier requests."""
        in_body = self._input is Input.BODY
        self._input = Input.NOTHING
        self.headers, self.scope = [], {}  # type: ignore[typeddict-item]  # frees the head
        if self._closing is not None:
            return
        if in_body:
            self._break_off(error)
        elif self.is_idle:
            self._send(error)
            self.hang_up()
        else:
            self._pending_error = error

    def _break_off(self, error: RequestError) -> None:
        """End the connection in the middle of a body, with the error if there is no answer yet."""
        if self.is_idle:
            self.hang_up()
        elif isinstance(self.cycle, FastPredict):
            self.cycle.keep_alive = False
            self.cycle.reject(error)
        elif self.pipeline or self.cycle.response_started:
            self.transport.close()
        else:
            self.cycle.disconnected = True  # for the application; the answer is sent here
            self.cycle.message_event.set()
            self._send(error)
            self.hang_up()

    def _send(self, error: RequestError) -> None:
        self._gateway.metrics.count_request(UNMATCHED, UNMATCHED, error.status)
        body = to_problem(error).model_dump_json().encode()
        self.transport.write(
            b"%scontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (STATUS_LINE[error.status], MEDIA_TYPE.encode(), len(body), body)
        )


def _long_head() -> TooManyBytes:
    return TooManyBytes(
        f"The headers have more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} lines."
    )


class _HeadLimits:
    """Counts the bytes that belong to no complete head or body chunk yet."""

    __slots__ = ("longest_bytes", "pending_bytes")

    def __init__(self) -> None:
        self.pending_bytes = 0  # received since the last complete head or body chunk
        self.longest_bytes = 0  # maximum that a head which is complete now can have

    def add(self, size_bytes: int) -> None:
        self.pending_bytes += size_bytes
        self.longest_bytes = self.pending_bytes

    def clear(self) -> None:
        self.pending_bytes = 0


class _PipelineFlow(FlowControl):
    """Stops reading while requests wait on the connection; uvicorn resumes at every answer."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()
