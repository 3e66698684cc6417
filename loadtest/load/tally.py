"""The outcomes and latencies of an open-loop run."""

import time
from dataclasses import dataclass
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # has no types

MAX_US = 60_000_000
SIGNIFICANT_DIGITS = 3


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """The outcomes of one run, which ended with the last answer.

    `p*_ms` are latencies of answered requests (status 200). `rejected` counts status 503, `failed`
    any other outcome; `unsent` requests found no free connection. `late_p99_ms` is how far the
    generator itself fell behind its schedule.
    """

    offered_per_s: float
    seconds: float
    scheduled: int
    answered: int
    rejected: int
    failed: int
    unsent: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    generator_cpu_s: float
    histogram: str  # latencies of answered requests in microseconds, as HdrHistogram encodes them

    @property
    def answered_per_s(self) -> float:
        return self.answered / self.seconds

    def answered_within(self, limit_ms: float) -> int:
        recorded = HdrHistogram.decode(self.histogram).get_recorded_iterator()
        return sum(
            item.count_added_in_this_iter_step
            for item in recorded
            if item.value_iterated_to <= limit_ms * 1000
        )


class Tally:
    """Counts the outcomes of a run while it lasts."""

    def __init__(self) -> None:
        self.answered = HdrHistogram(1, MAX_US, SIGNIFICANT_DIGITS)
        self.late = HdrHistogram(1, MAX_US, SIGNIFICANT_DIGITS)
        self.rejected = self.failed = self.unsent = 0

    def count(self, status: int, latency_s: float) -> None:
        if status == 200:
            _record(self.answered, latency_s)
        elif status == 503:
            self.rejected += 1
        else:
            self.failed += 1

    def sent(self, late_s: float) -> None:
        _record(self.late, late_s)

    @property
    def done(self) -> int:
        answered = int(self.answered.get_total_count())
        return answered + self.rejected + self.failed + self.unsent

    def result(self, rate: float, seconds: float, scheduled: int) -> OpenLoop:
        """Return the outcomes; scheduled requests without any count as failed."""
        return OpenLoop(
            offered_per_s=rate,
            seconds=seconds,
            scheduled=scheduled,
            answered=self.answered.get_total_count(),
            rejected=self.rejected,
            failed=self.failed + scheduled - self.done,
            unsent=self.unsent,
            p50_ms=_percentile_ms(self.answered, 50),
            p95_ms=_percentile_ms(self.answered, 95),
            p99_ms=_percentile_ms(self.answered, 99),
            max_ms=self.answered.get_max_value() / 1000,
            late_p99_ms=_percentile_ms(self.late, 99),
            generator_cpu_s=time.process_time(),
            histogram=self.answered.encode().decode(),
        )


def _percentile_ms(histogram: Any, percentile: float) -> float:
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def _record(histogram: Any, value_s: float) -> None:
    histogram.record_value(min(max(int(value_s * 1e6), 1), MAX_US))
