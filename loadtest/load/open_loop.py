"""The open loop: requests leave on a fixed schedule, whether or not earlier ones were answered.

Latency counts from when a request was due, not from when it was sent, so that a server that stalls
cannot hide it by holding back the generator (coordinated omission). The generator is a process of
its own: `python -m loadtest.load.open_loop HOST PORT PATH BODY_FILE CONTENT_TYPE RATE SECONDS`
prints JSON.
"""

import asyncio
import dataclasses
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

from loadtest.host.server import HOST
from loadtest.load.body import BodyFile
from loadtest.load.http1 import parse_response, request_head
from loadtest.load.tally import OpenLoop, Tally

INITIAL_CONNECTIONS = 64
MAX_CONNECTIONS = 1024
LAST_ANSWER_S = 15.0


class Connection(asyncio.Protocol):
    """A keep-alive HTTP/1.1 connection with at most one request in flight."""

    def __init__(self, on_answer: Callable[["Connection", int, float], None]) -> None:
        self._on_answer = on_answer
        self._transport: asyncio.Transport | None = None
        self._due: float | None = None
        self._received = bytearray()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        cast(asyncio.Transport, self._transport).write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        response = parse_response(self._received)
        if response is not None:
            status, size = response
            del self._received[:size]
            self._finish(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            self._on_answer(self, status, due)


class Generator:
    """Sends `rate` requests per second for `seconds`, on as many connections as it takes."""

    def __init__(self, host: str, port: int, request: bytes, rate: float, seconds: float) -> None:
        self._address = (host, port)
        self._request = request
        self._rate = rate
        self._seconds = seconds
        self._idle: deque[Connection] = deque()
        self._opened = 0
        self._opening: set[asyncio.Task[None]] = set()
        self.tally = Tally()

    async def run(self) -> OpenLoop:
        for _ in range(INITIAL_CONNECTIONS):
            self._idle.append(await self._connect())
        loop = asyncio.get_running_loop()
        scheduled = int(self._rate * self._seconds)
        threading.Thread(target=self._keep_schedule, args=(loop, scheduled), daemon=True).start()
        started = time.perf_counter()
        give_up_at = started + self._seconds + LAST_ANSWER_S
        while self.tally.done < scheduled and time.perf_counter() < give_up_at:
            await asyncio.sleep(0.02)
        return self.tally.result(self._rate, time.perf_counter() - started, scheduled)

    def _keep_schedule(self, loop: asyncio.AbstractEventLoop, scheduled: int) -> None:
        """Keep time in a thread, whose sleep is exact to 0.1 ms; an event loop timer is to 1 ms."""
        started = time.perf_counter()
        for number in range(scheduled):
            due = started + number / self._rate
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            loop.call_soon_threadsafe(self._send_due, due)

    def _send_due(self, due: float) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.open:
                self._send(connection, due)
                return
        if self._opened >= MAX_CONNECTIONS:
            self.tally.unsent += 1
            return
        task = asyncio.ensure_future(self._open_and_send(due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_and_send(self, due: float) -> None:
        try:
            self._send(await self._connect(), due)
        except OSError:
            self.tally.failed += 1

    async def _connect(self) -> Connection:
        self._opened += 1
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._answered), *self._address
        )
        return connection

    def _send(self, connection: Connection, due: float) -> None:
        self.tally.sent(time.perf_counter() - due)
        connection.send(self._request, due)

    def _answered(self, connection: Connection, status: int, due: float) -> None:
        self.tally.count(status, time.perf_counter() - due)
        if connection.open:
            self._idle.append(connection)
        else:
            self._opened -= 1


def run_open_loop(port: int, path: str, body: BodyFile, rate: float, seconds: float) -> OpenLoop:
    """Send `rate` requests per second to a server of this machine for `seconds`."""
    command = [sys.executable, "-m", "loadtest.load.open_loop", HOST, str(port), path]
    command += [str(body.path), body.content_type, f"{rate:.3f}", f"{seconds:g}"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, timeout=seconds + LAST_ANSWER_S + 30
    )
    return OpenLoop(**json.loads(done.stdout))


def main(
    host: str, port: str, path: str, body: str, content_type: str, rate: str, seconds: str
) -> None:
    data = Path(body).read_bytes()
    request = request_head(host, int(port), path, content_type, len(data)) + data
    generator = Generator(host, int(port), request, float(rate), float(seconds))
    print(json.dumps(dataclasses.asdict(asyncio.run(generator.run()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
