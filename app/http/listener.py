"""The listening socket: accepts connections up to a maximum.

The servers of asyncio and uvloop accept without a limit, give a TLS handshake a minute, and uvloop
closes new connections without a word when descriptors run out.
"""

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import Overloaded
from app.problem import MEDIA_TYPE, to_problem
from app.service import slow_bodies

log = logging.getLogger(__name__)

HANDSHAKE_S = 10
TLS_CLOSE_S = 2  # for the client's part of closing TLS
ACCEPTED_AT_ONCE = 64  # then the requests of those before have their turn
SEND_BYTES = 2**17  # buffered by the kernel for each connection, which would take megabytes
PAUSE_S = 1  # while there are no descriptors
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
READ_BYTES = 2**16


class Connection(slow_bodies.Connection, Protocol):
    """What the listener knows of a connection."""

    @property
    def idle_since(self) -> float:
        """The time of the loop at which the last request ended or the connection began."""


class Listener:
    """Accepts connections; has what uvicorn uses of an `asyncio.Server`.

    If there are as many connections as allowed, the one that is idle for longest makes room for a
    new one; if none is idle, the one whose body takes longest to arrive. Otherwise the new one gets
    a 503.
    """

    def __init__(
        self,
        listening: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        connections: Collection[Any],
        limit: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        """`connections` are those that are open; `limit` is their maximum."""
        self.sockets = (listening,)
        self._listening = listening
        self._connect = connect
        self._connections = connections
        self._limit = limit
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._opening: dict[asyncio.Task[None], asyncio.Protocol] = {}
        self._notice = _Notice()
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)  # connections inherit
        self._start()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listening)
        for task in self._opening:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return at once: the server waits for its connections itself."""

    def _start(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                self._notice.log("No descriptor or memory for a connection: %s.", error.strerror)
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE_S, self._start)
                self._make_room()
                return
            if self._is_full() and not self._make_room():
                self._notice.log(
                    "Rejected a connection: %s of %s are in use.", self._limit, self._limit
                )
                self._reject(accepted)
                continue
            connection = self._connect()
            task = self._loop.create_task(self._open(accepted, connection))
            self._opening[task] = connection
            task.add_done_callback(self._opening.pop)

    def _is_full(self) -> bool:
        if len(self._connections) + len(self._opening) < self._limit:
            return False
        opening = sum(one not in self._connections for one in self._opening.values())
        return len(self._connections) + opening >= self._limit

    def _make_room(self) -> bool:
        """Drop the connection that is idle for longest, or the slowest; False if there is none."""
        idle: list[Connection] = [
            connection for connection in self._connections if connection.is_idle
        ]
        if idle:
            min(idle, key=lambda connection: connection.idle_since).drop()
            kind = "an idle"
        elif slow_bodies.end_oldest(self._connections):
            kind = "a slow"
        else:
            return False
        self._notice.log(
            "Dropped %s connection for a new one: %s of %s were in use.",
            kind, self._limit, self._limit,
        )  # fmt: skip
        return True

    async def _open(self, accepted: socket.socket, connection: asyncio.Protocol) -> None:
        """Hand a socket to a connection, with TLS after its handshake."""
        accepted.setblocking(False)
        waits = (HANDSHAKE_S, TLS_CLOSE_S) if self._tls else (None, None)
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=waits[0],
                ssl_shutdown_timeout=waits[1],
            )
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is one
            accepted.close()

    def _reject(self, accepted: socket.socket) -> None:
        """Answer with a 503, unless TLS is needed, and close."""
        with suppress(OSError), accepted:
            accepted.setblocking(False)
            if self._tls is None:
                error = Overloaded(f"Connections: {self._limit} of {self._limit} are in use.")
                body = to_problem(error).model_dump_json().encode()
                accepted.send(
                    b"%sretry-after: 1\r\ncontent-type: %s\r\ncontent-length: %d\r\n"
                    b"connection: close\r\n\r\n%s"
                    % (STATUS_LINE[error.status], MEDIA_TYPE.encode(), len(body), body)
                )
                accepted.recv(READ_BYTES)  # closing with unread bytes would discard the answer


class _Notice:
    """Warnings, at most one a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def log(self, text: str, *values: object) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1
            log.warning(text, *values)
