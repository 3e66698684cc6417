"""How a bench of automatic choice picks its budget and counts what was in time."""

from typing import Any

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # has no types

from loadtest.auto.plot import outline
from loadtest.auto.scenarios import BudgetStudy, Rung, between, climb_down, within
from loadtest.load.open_loop import DIGITS, LONGEST_US, OpenLoop


def loop_of(*latencies_ms: float) -> OpenLoop:
    histogram = HdrHistogram(1, LONGEST_US, DIGITS)
    for latency_ms in latencies_ms:
        histogram.record_value(int(latency_ms * 1000))

    def at(percentile: float) -> float:
        return float(histogram.get_value_at_percentile(percentile)) / 1000

    return OpenLoop(
        offered_per_s=10,
        seconds=1,
        scheduled=len(latencies_ms),
        answered=len(latencies_ms),
        refused=0,
        failed=0,
        unsent=0,
        p50_ms=at(50),
        p95_ms=at(95),
        p99_ms=at(99),
        max_ms=max(latencies_ms),
        late_p99_ms=0,
        generator_cpu_s=0,
        histogram=histogram.encode().decode(),
    )


def test_what_came_within_a_time_is_counted() -> None:
    loop = loop_of(10, 20, 50, 99, 101, 500)
    assert within(loop, 100) == 4
    assert within(loop, 5) == 0
    assert within(loop, 1000) == 6


def test_the_budget_lies_where_two_rungs_are_furthest_apart() -> None:
    rungs = [Rung(f"m{p95}", 70, loop_of(p95)) for p95 in (40, 36, 12, 10)]
    assert 12 < between(rungs) < 36


def test_each_rung_is_clearly_cheaper_than_the_one_above() -> None:
    figures = ((72.0, 300), (71.8, 299), (70.0, 200), (None, 100), (66.0, 190), (60.0, 50))
    rows: list[dict[str, Any]] = [{"top1": top1, "madds": madds} for top1, madds in figures]
    assert [row["madds"] for row in climb_down(rows)] == [300, 200, 50]


def test_only_variants_above_the_one_that_answered_most_have_to_break_the_budget() -> None:
    rungs = [Rung("a", 72, loop_of(50)), Rung("b", 70, loop_of(20)), Rung("c", 60, loop_of(5))]
    accuracies = {rung.name: rung.top1 for rung in rungs}
    study = BudgetStudy(10, 30, loop_of(21), {"b": 90, "c": 10}, accuracies, rungs)
    assert study.top1 == 69
    assert study.kept
    assert [rung.name for rung in study.more_accurate] == ["a"]


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(1.0, 40.0), (2.0, 39.0), (3.0, 50.0)], [(1.0, 40.0), (3.0, 50.0)]),
        ([(2.0, 40.0), (1.0, 40.0)], [(1.0, 40.0)]),
        ([], []),
    ],
)
def test_the_line_joins_what_no_faster_one_equals(
    points: list[tuple[float, float]], best: list[tuple[float, float]]
) -> None:
    assert outline(points) == best
