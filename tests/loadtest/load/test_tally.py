"""The tally of an open loop: every scheduled request is counted once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("hdrh", reason="needs hdrhistogram, which `make bench` installs")

from loadtest.load.tally import Tally  # after the skip

outcomes = st.lists(
    st.tuples(st.sampled_from([200, 503, 500, 0]), st.floats(0, 70, allow_nan=False)), max_size=60
)


@given(outcomes, st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_every_scheduled_request_is_counted_once(
    answers: list[tuple[int, float]], lost: int
) -> None:
    tally = Tally()
    for status, latency_s in answers:
        tally.count(status, latency_s)
    tally.unsent = 2
    scheduled = len(answers) + tally.unsent + lost
    run = tally.result(rate=10, seconds=1, scheduled=scheduled)
    assert run.answered + run.rejected + run.failed + run.unsent == scheduled
    assert run.answered == sum(status == 200 for status, _ in answers)
    assert run.rejected == sum(status == 503 for status, _ in answers)


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=50))
@settings(deadline=None, max_examples=25)
def test_percentiles_are_within_three_figures_of_the_latencies(latencies_s: list[float]) -> None:
    tally = Tally()
    for latency_s in latencies_s:
        tally.count(200, latency_s)
    run = tally.result(rate=1, seconds=1, scheduled=len(latencies_s))
    assert run.max_ms == pytest.approx(1000 * max(latencies_s), rel=2e-3)
    assert run.p50_ms <= run.p95_ms <= run.p99_ms <= run.max_ms
    assert run.p50_ms >= 1000 * min(latencies_s) * 0.998


def test_of_a_hundred_latencies_each_percentile_is_the_one_at_its_place() -> None:
    tally = Tally()
    for milliseconds in range(100, 0, -1):
        tally.count(200, milliseconds / 1000)
        tally.sent(milliseconds / 10_000)
    run = tally.result(rate=1, seconds=4, scheduled=100)
    found = (run.p50_ms, run.p95_ms, run.p99_ms, run.max_ms, run.late_p99_ms)
    assert found == pytest.approx((50, 95, 99, 100, 9.9), rel=2e-3)
    assert run.answered_per_s == 25
    assert run.answered_within(80.2) == 80


def test_rejected_and_failed_requests_do_not_count_as_latency() -> None:
    tally = Tally()
    tally.count(200, 0.010)
    tally.count(503, 5.0)
    tally.count(500, 5.0)
    run = tally.result(rate=1, seconds=1, scheduled=3)
    assert run.max_ms == pytest.approx(10, rel=2e-3)
    assert (run.answered, run.rejected, run.failed) == (1, 1, 1)
