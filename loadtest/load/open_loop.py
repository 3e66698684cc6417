"""The open loop: requests leave on a fixed schedule, whatever becomes of those before them.

Latency counts from when a request was due, not from when it was sent, so that a server that stalls
cannot hide it by holding back the generator (coordinated omission). A process of its own:
`python -m loadtest.load.open_loop HOST PORT PATH BODY_FILE CONTENT_TYPE RATE SECONDS` prints JSON.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # has no types

LONGEST_US = 60_000_000
DIGITS = 3
OPEN_FIRST = 64
MOST_CONNECTIONS = 1024
LAST_ANSWER_S = 15.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """What became of the requests of one run, which ended with the last answer.

    `p*_ms` are of answered ones (200). `late_p99_ms` is how far the generator itself fell behind
    its schedule; `unsent` found no free connection.
    """

    offered_per_s: float
    seconds: float
    scheduled: int
    answered: int
    refused: int
    failed: int
    unsent: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    generator_cpu_s: float
    histogram: str  # of answered ones in microseconds, HdrHistogram's encoding

    @property
    def answered_per_s(self) -> float:
        return self.answered / self.seconds


class Tally:
    """Latencies by outcome, in microseconds."""

    def __init__(self) -> None:
        self.answered, self.refused, self.late = (
            HdrHistogram(1, LONGEST_US, DIGITS) for _ in range(3)
        )
        self.failed = 0
        self.unsent = 0

    def count(self, status: int, latency_s: float) -> None:
        if status == 200:
            _record(self.answered, latency_s)
        elif status == 503:
            _record(self.refused, latency_s)
        else:
            self.failed += 1

    def sent(self, late_s: float) -> None:
        _record(self.late, late_s)

    @property
    def done(self) -> int:
        totals = (self.answered.get_total_count(), self.refused.get_total_count())
        return int(sum(totals)) + self.failed + self.unsent

    def report(self, rate: float, seconds: float, scheduled: int) -> OpenLoop:
        return OpenLoop(
            offered_per_s=rate,
            seconds=seconds,
            scheduled=scheduled,
            answered=self.answered.get_total_count(),
            refused=self.refused.get_total_count(),
            failed=self.failed + scheduled - self.done,
            unsent=self.unsent,
            p50_ms=percentile_ms(self.answered, 50),
            p95_ms=percentile_ms(self.answered, 95),
            p99_ms=percentile_ms(self.answered, 99),
            max_ms=self.answered.get_max_value() / 1000,
            late_p99_ms=percentile_ms(self.late, 99),
            generator_cpu_s=time.process_time(),
            histogram=self.answered.encode().decode(),
        )


def percentile_ms(histogram: Any, percentile: float) -> float:
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def _record(histogram: Any, value_s: float) -> None:
    histogram.record_value(min(max(int(value_s * 1e6), 1), LONGEST_US))


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection with at most one request under way."""

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
        answer = parse_answer(self._received)
        if answer is not None:
            status, size = answer
            del self._received[:size]
            self._finish(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            self._on_answer(self, status, due)


def parse_answer(received: bytes | bytearray) -> tuple[int, int] | None:
    """(status, bytes) of a whole HTTP/1.1 answer with a Content-Length, or None if more must come.

    Raises:
        ValueError: the head has no Content-Length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    size = end + 4 + int(rest.split(b"\r\n", 1)[0])
    return (int(head[9:12]), size) if len(received) >= size else None


class Generator:
    """Sends `rate` requests a second for `seconds`, on as many connections as it takes."""

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
        for _ in range(OPEN_FIRST):
            self._idle.append(await self._connect())
        loop = asyncio.get_running_loop()
        scheduled = int(self._rate * self._seconds)
        clock = threading.Thread(target=self._keep_schedule, args=(loop, scheduled), daemon=True)
        clock.start()
        started = time.perf_counter()
        give_up_at = started + self._seconds + LAST_ANSWER_S
        while self.tally.done < scheduled and time.perf_counter() < give_up_at:
            await asyncio.sleep(0.02)
        return self.tally.report(self._rate, time.perf_counter() - started, scheduled)

    def _keep_schedule(self, loop: asyncio.AbstractEventLoop, scheduled: int) -> None:
        """A thread's sleep is exact to 0.1 ms; a timer of the event loop only to 1 ms."""
        started = time.perf_counter()
        for number in range(scheduled):
            due = started + number / self._rate
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            loop.call_soon_threadsafe(self._fire, due)

    def _fire(self, due: float) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.open:
                self._send(connection, due)
                return
        if self._opened >= MOST_CONNECTIONS:
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


def head(host: str, port: int, path: str, content_type: str, size: int) -> bytes:
    """The head of the request that is sent again and again."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


def run_open_loop(
    host: str, port: int, path: str, body: Path, content_type: str, rate: float, seconds: float
) -> OpenLoop:
    """Run the generator in a process of its own."""
    command = [sys.executable, "-m", "loadtest.load.open_loop", host, str(port), path]
    command += [str(body), content_type, f"{rate:.3f}", f"{seconds:g}"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, timeout=seconds + LAST_ANSWER_S + 30
    )
    return OpenLoop(**json.loads(done.stdout))


def main(
    host: str, port: str, path: str, body: str, content_type: str, rate: str, seconds: str
) -> None:
    data = Path(body).read_bytes()
    request = head(host, int(port), path, content_type, len(data)) + data
    generator = Generator(host, int(port), request, float(rate), float(seconds))
    print(json.dumps(dataclasses.asdict(asyncio.run(generator.run()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
