"""How the benchmark of automatic choice selects variants and a budget, and reads its results."""

from typing import Any

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # has no types

from loadtest.auto.plot import pareto_front
from loadtest.auto.result import BudgetResult, VariantRun
from loadtest.auto.scenarios import choose_budget_ms, spaced_variants
from loadtest.load.tally import MAX_US, SIGNIFICANT_DIGITS, OpenLoop


def loop_of(*latencies_ms: float) -> OpenLoop:
    histogram = HdrHistogram(1, MAX_US, SIGNIFICANT_DIGITS)
    for latency_ms in latencies_ms:
        histogram.record_value(int(latency_ms * 1000))

    def at(percentile: float) -> float:
        return float(histogram.get_value_at_percentile(percentile)) / 1000

    return OpenLoop(
        offered_per_s=10,
        seconds=1,
        scheduled=len(latencies_ms),
        answered=len(latencies_ms),
        rejected=0,
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


def test_answers_within_a_time_limit_are_counted() -> None:
    loop = loop_of(10, 20, 50, 99, 101, 500)
    assert loop.answered_within(100) == 4
    assert loop.answered_within(5) == 0
    assert loop.answered_within(1000) == 6


def test_the_budget_lies_where_two_variants_are_furthest_apart() -> None:
    runs = [VariantRun(f"m{p95}", 70, loop_of(p95)) for p95 in (40, 36, 12, 10)]
    assert 12 < choose_budget_ms(runs) < 36


def test_each_variant_is_clearly_cheaper_than_the_one_before() -> None:
    figures = ((72.0, 300), (71.8, 299), (70.0, 200), (None, 100), (66.0, 190), (60.0, 50))
    rows: list[dict[str, Any]] = [{"top1": top1, "madds": madds} for top1, madds in figures]
    assert [row["madds"] for row in spaced_variants(rows)] == [300, 200, 50]


def test_only_variants_above_the_one_chosen_most_must_exceed_the_budget() -> None:
    runs = [
        VariantRun("a", 72, loop_of(50)),
        VariantRun("b", 70, loop_of(20)),
        VariantRun("c", 60, loop_of(5)),
    ]
    accuracies = {run.name: run.top1 for run in runs}
    result = BudgetResult(10, 30, loop_of(21), {"b": 90, "c": 10}, accuracies, runs)
    assert result.top1 == 69
    assert result.within_budget
    assert [run.name for run in result.more_accurate] == ["a"]


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(1.0, 40.0), (2.0, 39.0), (3.0, 50.0)], [(1.0, 40.0), (3.0, 50.0)]),
        ([(2.0, 40.0), (1.0, 40.0)], [(1.0, 40.0)]),
        ([], []),
    ],
)
def test_the_pareto_front_joins_the_points_that_no_faster_one_equals(
    points: list[tuple[float, float]], best: list[tuple[float, float]]
) -> None:
    assert pareto_front(points) == best
