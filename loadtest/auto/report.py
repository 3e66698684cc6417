"""The tables of `make bench-auto`."""

from loadtest.auto.result import (
    AutoResult,
    BudgetResult,
    NewResolutionResult,
    OverloadResult,
    Prediction,
)
from loadtest.load.tally import OpenLoop
from loadtest.report import number, percent, table, verdict

MAX_ADDED_MS = 20
MIN_IN_TIME = 0.95
MAX_PREDICTION_ERROR = 0.25
MIN_GOOD_PREDICTIONS = 8


def render(result: AutoResult) -> str:
    return "\n\n".join(
        (
            result.conditions.describe(),
            _targets(result),
            "### A latency budget",
            _budget(result.budget),
            "### Three times the capacity, with a deadline",
            _overload(result.overload),
            "### Latency predicted before a download",
            f"The probe took {result.probe_s:.1f} s.",
            _predictions(result.predictions),
            "### A new resolution under load",
            _new_resolution(result.new_resolution),
        )
    )


def _targets(result: AutoResult) -> str:
    budget, overload = result.budget, result.overload
    added_ms = result.new_resolution.added_p99_ms
    good = sum(abs(each.error) <= MAX_PREDICTION_ERROR for each in result.predictions)
    lowest_ms = min((run.loop.p95_ms for run in budget.more_accurate), default=None)
    rows = [
        (
            f"p95 of `auto` over {budget.auto.scheduled} requests",
            f"at most {number(budget.budget_ms)} ms",
            f"{number(budget.auto.p95_ms)} ms",
            verdict(budget.within_budget),
        ),
        (
            f"lowest p95 of the {len(budget.more_accurate)} more accurate variants",
            f"more than {number(budget.budget_ms)} ms",
            "no such variant" if lowest_ms is None else f"{number(lowest_ms)} ms",
            verdict(lowest_ms is None or lowest_ms > budget.budget_ms),
        ),
        (
            f"answered within {overload.deadline_ms:.0f} ms at 3 x capacity, brown-out on",
            f"at least {percent(MIN_IN_TIME)}",
            percent(overload.in_time["on"]),
            verdict(overload.in_time["on"] >= MIN_IN_TIME),
        ),
        ("the same, brown-out off", "-", percent(overload.in_time["off"]), "-"),
        (
            f"variants predicted within {percent(MAX_PREDICTION_ERROR)} of the measured time",
            f"at least {MIN_GOOD_PREDICTIONS}",
            f"{good} of {len(result.predictions)}",
            verdict(good >= MIN_GOOD_PREDICTIONS),
        ),
        (
            "p99 that new resolutions add to other requests",
            f"at most {MAX_ADDED_MS} ms",
            f"{added_ms:.1f} ms",
            verdict(added_ms <= MAX_ADDED_MS),
        ),
    ]
    return table(("", "target", "measured", "met"), rows)


def _budget(result: BudgetResult) -> str:
    rows = [
        (f"`{run.name}`", f"{run.top1:.1f} %", *_latencies(run.loop)) for run in result.variants
    ]
    rows.append(
        (f"`auto`, {number(result.budget_ms)} ms", f"{result.top1:.1f} %", *_latencies(result.auto))
    )
    return (
        f"Open loop, {number(result.requests_per_s)} requests/s.\n\n"
        + table(("answered by", "top-1", "requests", "p50 ms", "p95 ms", "p99 ms"), rows)
        + f"\n\nChosen: {_counts(result.chosen)}."
    )


def _overload(result: OverloadResult) -> str:
    rows = [
        (
            f"brown-out {state}",
            number(loop.offered_per_s),
            percent(result.in_time[state]),
            loop.answered,
            loop.rejected,
            loop.failed + loop.unsent,
            *map(number, (loop.p50_ms, loop.p95_ms, loop.p99_ms)),
        )
        for state, loop in result.loops.items()
    ]
    headings = ("", "offered/s", "in time", "200", "503", "504 and others", "p50 ms", "p95 ms")
    return "\n\n".join(
        (
            "The service has one worker, so that the generator has a core. The capacity of the "
            f"most accurate variant is {number(result.capacity_per_s)} requests/s.",
            table((*headings, "p99 ms"), rows),
            *(
                f"Chosen with brown-out {state}: {_counts(chosen)}."
                for state, chosen in result.chosen.items()
            ),
        )
    )


def _predictions(predictions: list[Prediction]) -> str:
    rows = [
        (
            f"`{each.name}`" + ("" if each.trained else ", random weights"),
            f"{each.madds / 1e6:.0f} M",
            f"{each.predicted_ms:.2f}",
            f"{each.measured_ms:.2f}",
            f"{100 * each.error:+.0f} %",
        )
        for each in sorted(predictions, key=lambda each: each.madds)
    ]
    return table(("variant", "MAdds", "predicted ms", "measured ms", "error"), rows)


def _new_resolution(result: NewResolutionResult) -> str:
    rows = [
        ("no other requests", *_latencies(result.alone)),
        ("others at new resolutions", *_latencies(result.beside)),
    ]
    times = [
        (resolution, number(first_ms), number(result.second_ms[resolution]))
        for resolution, first_ms in result.first_ms.items()
    ]
    return "\n\n".join(
        (
            f"{number(result.requests_per_s)} requests/s at the trained resolution.",
            table(("", "requests", "p50 ms", "p95 ms", "p99 ms"), rows),
            table(("resolution", "first inference, ms", "second, ms"), times),
        )
    )


def _counts(chosen: dict[str, int]) -> str:
    return ", ".join(f"`{name}` {count}" for name, count in chosen.items())


def _latencies(loop: OpenLoop) -> tuple[str, ...]:
    return str(loop.answered), number(loop.p50_ms), number(loop.p95_ms), number(loop.p99_ms)
