"""The records of a run of `make bench-auto`."""

from dataclasses import dataclass

from loadtest.host.machine import Conditions
from loadtest.load.tally import OpenLoop


@dataclass(frozen=True, slots=True)
class VariantRun:
    """A variant that the client names, under the load of the budget scenario."""

    name: str
    top1: float
    loop: OpenLoop


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """`auto` with a latency budget, and several variants by name at the same load."""

    requests_per_s: float
    budget_ms: float
    auto: OpenLoop
    chosen: dict[str, int]  # images by variant
    accuracies: dict[str, float]  # top-1 of all variants, percent
    variants: list[VariantRun]

    @property
    def within_budget(self) -> bool:
        return self.auto.p95_ms <= self.budget_ms

    @property
    def top1(self) -> float:
        """The mean accuracy of the variants that `auto` chose, weighted by images."""
        images = sum(self.chosen.values())
        total = sum(count * self.accuracies[name] for name, count in self.chosen.items())
        return total / max(images, 1)

    @property
    def more_accurate(self) -> list[VariantRun]:
        """The variants that are more accurate than the one that `auto` chose most often."""
        favourite = max(self.chosen, key=lambda name: self.chosen[name])
        return [run for run in self.variants if run.top1 > self.accuracies[favourite]]


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """Three times the capacity of the most accurate variant, with a deadline per request."""

    capacity_per_s: float
    deadline_ms: float
    loops: dict[str, OpenLoop]  # by state of the brown-out, "on" and "off"
    in_time: dict[str, float]  # share of the requests that were answered within the deadline
    chosen: dict[str, dict[str, int]]  # images by state and variant


@dataclass(frozen=True, slots=True)
class NewResolutionResult:
    """Load at one resolution, without and with requests at resolutions never used before."""

    requests_per_s: float
    alone: OpenLoop
    beside: OpenLoop
    first_ms: dict[int, float]  # inference time of the first request at each resolution
    second_ms: dict[int, float]

    @property
    def added_p99_ms(self) -> float:
        return self.beside.p99_ms - self.alone.p99_ms


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted and the measured median CPU time of one image with one variant."""

    name: str
    trained: bool
    madds: int
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """The error relative to the measured time."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True, slots=True)
class AutoResult:
    conditions: Conditions
    budget: BudgetResult
    overload: OverloadResult
    probe_s: float
    predictions: list[Prediction]
    new_resolution: NewResolutionResult
