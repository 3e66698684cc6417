"""The figures of a flood; and wrk reports the accepted requests of one."""

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.host.machine import Conditions, Interference, this_machine
from loadtest.load.body import BodyFile
from loadtest.load.wrk import DELAYED_POST, MISSING, ClosedLoop, run_wrk
from loadtest.robustness.flood import FloodResult, count_statuses, render

SLOW_S = 0.2


class OneInFive(BaseHTTPRequestHandler):
    """Accepts every fifth request slowly, and rejects the others at once."""

    protocol_version = "HTTP/1.1"
    numbers = itertools.count()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        accepted = next(self.numbers) % 5 == 0
        if accepted:
            time.sleep(SLOW_S)
        self.send_response(200 if accepted else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def one_in_five_accepted() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneInFive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def flood_of(capacities: tuple[float, float], statuses: dict[str, int]) -> FloodResult:
    loop = ClosedLoop(
        requests=sum(statuses.values()),
        seconds=10,
        p50_ms=240,
        p95_ms=250,
        p99_ms=255,
        max_ms=280,
        bad_statuses=statuses["503"],
        socket_errors=1,
        wrk_cpu_s=1,
    )
    interference = Interference(others_percent=0, stolen_percent=0)
    return FloodResult(
        conditions=Conditions(this_machine(), interference, took_s=60),
        capacity_before=capacities[0],
        flood=loop,
        statuses=statuses,
        pss_bytes=[100_000_000] * 6,
        recovered=290,
        capacity_after=capacities[1],
    )


def test_goodput_is_set_against_the_mean_of_the_capacities_before_and_after() -> None:
    found = flood_of((320, 280), {"200": 2700, "503": 6000})
    assert (found.capacity, found.goodput, found.offered) == (300, 270, 870)
    assert "270 requests/s, 90 %" in render(found)


def test_the_maximum_latency_is_the_full_queue_and_50_ms() -> None:
    assert flood_of((320, 320), {"200": 1, "503": 1}).max_p99_ms == pytest.approx(250)


def test_requests_neither_answered_nor_rejected_have_failed() -> None:
    found = flood_of((300, 300), {"200": 10, "503": 20, "499": 64, "500": 3})
    assert found.failed == 3 + 1  # and one socket error


def test_answers_are_counted_by_status_over_all_methods() -> None:
    lines = [
        'gateway_requests_total{method="POST",route="/predict",status="200"} 12.0',
        'gateway_requests_total{method="POST",route="/predict",status="503"} 30.0',
        'gateway_requests_total{method="GET",route="/healthz",status="200"} 5.0',
        'gateway_requests_total{method="PUT",route="/predict",status="200"} 1.0',
    ]
    metrics = "\n".join(("# TYPE gateway_requests_total counter", *lines, ""))
    assert count_statuses(metrics) == {"200": 13, "503": 30}


@pytest.mark.skipif(not shutil.which("wrk"), reason=MISSING)
def test_percentiles_are_of_accepted_requests_only(tmp_path: Path) -> None:
    body = BodyFile("raw", tmp_path / "body", "image/jpeg")
    body.path.write_bytes(b"x" * 1000)
    with one_in_five_accepted() as url:
        everything = run_wrk(url, body, 8, 2)
        accepted = run_wrk(url, body, 8, 2, script=DELAYED_POST, arguments=("20",), threads=2)
    assert everything.bad_statuses > everything.requests / 2
    assert everything.p50_ms < accepted.p50_ms
    assert accepted.p50_ms > SLOW_S * 1000 * 0.99  # within the precision of the histogram
    assert accepted.p50_ms <= accepted.p99_ms <= accepted.max_ms
