"""The tables of `make bench-auto`."""

from typing import TYPE_CHECKING

from loadtest.auto.predictions import TOLERANCE, Predicted
from loadtest.auto.scenarios import BudgetStudy, NewResolution, Overload
from loadtest.load.open_loop import OpenLoop
from loadtest.report import describe, number, percent, table, verdict

if TYPE_CHECKING:
    from loadtest.auto.run import Result

ADDED_MS = 20
IN_TIME = 0.95


def render(result: "Result") -> str:
    """All of it, with what was promised."""
    return "\n\n".join(
        (
            describe(result.machine, result.disturbed, result.took_s),
            _promises(result),
            "### A latency budget",
            _budget(result.budget),
            "### Three times too much, with a deadline",
            _overload(result.overload),
            "### What was predicted before a download",
            f"The probe took {result.probe_s:.1f} s.",
            _predicted(result.predicted),
            "### A resolution that was never used before, under load",
            _new(result.new_resolution),
        )
    )


def _promises(result: "Result") -> str:
    budget, overload, new = result.budget, result.overload, result.new_resolution
    above = budget.more_accurate
    good = [each for each in result.predicted if abs(each.error) <= TOLERANCE]
    least_ms = min((rung.loop.p95_ms for rung in above), default=0.0)
    rows = [
        (
            f"p95 of `auto` over {budget.auto.scheduled} requests",
            f"at most {number(budget.budget_ms)} ms",
            f"{number(budget.auto.p95_ms)} ms",
            verdict(budget.kept),
        ),
        (
            f"least p95 of the {len(above)} more accurate variants",
            f"more than {number(budget.budget_ms)} ms",
            f"{number(least_ms)} ms" if above else "there are none",
            verdict(not above or least_ms > budget.budget_ms),
        ),
        (
            f"answered within {overload.deadline_ms:.0f} ms at 3 x capacity, brown-out on",
            "at least 95 %",
            percent(overload.in_time["on"]),
            verdict(overload.in_time["on"] >= IN_TIME),
        ),
        ("the same, off", "-", percent(overload.in_time["off"]), "-"),
        (
            f"variants predicted within {TOLERANCE:.0%} of what they take",
            "at least 8",
            f"{len(good)} of {len(result.predicted)}",
            verdict(len(good) >= 8),
        ),
        (
            "p99 that new resolutions add to others",
            f"at most {ADDED_MS} ms",
            f"{new.added_p99_ms:.1f} ms",
            verdict(new.added_p99_ms <= ADDED_MS),
        ),
    ]
    return table(("", "promised", "seen", "kept"), rows)


def _budget(study: BudgetStudy) -> str:
    rows = [
        (f"`{rung.name}`", f"{rung.top1:.1f} %", *_latencies(rung.loop)) for rung in study.rungs
    ]
    rows.append(
        (f"`auto`, {number(study.budget_ms)} ms", f"{study.top1:.1f} %", *_latencies(study.auto))
    )
    chosen = ", ".join(f"`{name}` {count}" for name, count in study.chosen.items())
    return (
        f"{number(study.requests_per_s)} requests/s on a schedule.\n\n"
        + table(("answered by", "top-1", "requests", "p50 ms", "p95 ms", "p99 ms"), rows)
        + f"\n\nChosen: {chosen}."
    )


def _overload(study: Overload) -> str:
    rows = [
        (
            f"brown-out {state}",
            number(loop.offered_per_s),
            percent(study.in_time[state]),
            loop.answered,
            loop.refused,
            loop.failed + loop.unsent,
            *map(number, (loop.p50_ms, loop.p95_ms, loop.p99_ms)),
        )
        for state, loop in study.loops.items()
    ]
    headings = ("", "offered/s", "in time", "200", "503", "504 and others", "p50 ms", "p95 ms")
    lines = [
        f"One worker, so that the generator has a core; the most accurate variant carries "
        f"{number(study.capacity_per_s)} requests/s.",
        table((*headings, "p99 ms"), rows),
    ]
    for state, chosen in study.chosen.items():
        shown = ", ".join(f"`{name}` {count}" for name, count in chosen.items())
        lines.append(f"Chosen with brown-out {state}: {shown}.")
    return "\n\n".join(lines)


def _predicted(found: list[Predicted]) -> str:
    rows = [
        (
            f"`{each.name}`" + ("" if each.trained else ", random weights"),
            f"{each.madds / 1e6:.0f} M",
            f"{each.predicted_ms:.2f}",
            f"{each.measured_ms:.2f}",
            f"{100 * each.error:+.0f} %",
        )
        for each in sorted(found, key=lambda each: each.madds)
    ]
    return table(("variant", "MAdds", "predicted ms", "measured ms", "error"), rows)


def _new(study: NewResolution) -> str:
    rows = [
        ("no other requests", *_latencies(study.alone)),
        ("others at new resolutions", *_latencies(study.beside)),
    ]
    sides = [
        (f"{side}", number(study.first_ms[side]), number(study.second_ms[side]))
        for side in study.first_ms
    ]
    return "\n\n".join(
        (
            f"{number(study.requests_per_s)} requests/s at the trained resolution.",
            table(("", "requests", "p50 ms", "p95 ms", "p99 ms"), rows),
            table(("resolution", "first inference, ms", "second, ms"), sides),
        )
    )


def _latencies(loop: OpenLoop) -> tuple[str, ...]:
    return str(loop.answered), number(loop.p50_ms), number(loop.p95_ms), number(loop.p99_ms)
