"""Ratios of a round, and the selection of samples for a table."""

import pytest

from loadtest.bench.plan import connections
from loadtest.bench.result import Sample, median_of, select
from loadtest.load.bare_loop import BareRun
from loadtest.load.wrk import ClosedLoop


def sample(requests: int = 90, form: str = "raw", count: int = 8) -> Sample:
    closed = ClosedLoop(
        requests=requests,
        seconds=1,
        p50_ms=11.5,
        p95_ms=20,
        p99_ms=30,
        max_ms=40,
        bad_statuses=0,
        socket_errors=0,
        wrk_cpu_s=0.009,
    )
    bare = BareRun(images=200, seconds=2, p50_ms=10.75, cpu_s=1)
    return Sample("720p", form, count, closed, bare, server_cpu_s=0.45)


def test_a_ratio_compares_rates_and_an_extra_compares_medians() -> None:
    found = sample()
    assert found.ratio == pytest.approx(0.9)
    assert found.extra_ms == pytest.approx(0.75)


def test_processor_time_is_for_one_request() -> None:
    found = sample()
    assert (found.cpu_ms, found.bare_cpu_ms, found.wrk_cpu_ms) == pytest.approx((5, 5, 0.1))


def test_the_median_of_the_rounds_ignores_one_noisy_round() -> None:
    rounds = [sample(90), sample(3), sample(91)]
    assert median_of(rounds, lambda each: each.ratio) == pytest.approx(0.9)


def test_a_cell_has_only_its_own_form_and_number_of_connections() -> None:
    samples = [sample(form="raw"), sample(form="json"), sample(form="raw", count=1)]
    assert select(samples, "720p", "raw", 8) == samples[:1]
    assert select(samples, "720p", None, 8) == samples[:2]
    assert select(samples, "1080p", "raw", 8) == []


def test_on_one_core_no_number_of_connections_comes_twice() -> None:
    assert connections(1) == (1, 4)
    assert connections(2) == (1, 2, 8)
