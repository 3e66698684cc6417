"""The result that wrk's script prints is read correctly."""

import os
import subprocess
import sys

import pytest

from loadtest.load.wrk import MISSING, parse_result
from tests.conftest import ROOT

OUTPUT = """\
Running 2s test @ http://127.0.0.1:8000/predict
  1 threads and 8 connections
Requests/sec:    165.06
RESULT {"requests": 331, "duration_us": 2000000, "bad_statuses": 31, "socket_errors": 2, \
"p50_us": 45175, "p95_us": 80191, "p99_us": 88949, "max_us": 92678}
"""


def test_only_good_answers_count_as_requests_a_second() -> None:
    result = parse_result(OUTPUT, wrk_cpu_s=0.05)
    assert result.requests_per_s == 150
    assert (result.requests, result.bad_statuses, result.socket_errors) == (331, 31, 2)


def test_microseconds_become_milliseconds() -> None:
    result = parse_result(OUTPUT, wrk_cpu_s=0.05)
    found = (result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms)
    assert found == (45.175, 80.191, 88.949, 92.678)


def test_output_without_a_result_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_result("unable to connect to 127.0.0.1:1 Connection refused\n", 0)


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "module", ["bench.run", "auto.run", "client.run", "peers.run", "robustness.flood"]
)
def test_without_wrk_every_measurement_ends_at_once_with_how_to_get_it(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"loadtest.{module}"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PATH": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"error: {MISSING}\n")
