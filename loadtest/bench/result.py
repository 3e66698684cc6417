"""The records of a benchmark run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from loadtest.bench.plan import Plan
from loadtest.host.machine import Conditions
from loadtest.host.processes import Memory
from loadtest.load.bare_loop import BareRun
from loadtest.load.tally import OpenLoop
from loadtest.load.wrk import ClosedLoop


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the closed loop, and the run of the bare loop shortly before it."""

    photo: str
    form: str
    connections: int
    closed: ClosedLoop
    bare: BareRun
    server_cpu_s: float

    @property
    def ratio(self) -> float:
        """Requests per second relative to the bare loop's images per second."""
        return self.closed.requests_per_s / self.bare.images_per_s

    @property
    def extra_ms(self) -> float:
        """Median latency minus the bare loop's median time for one image."""
        return self.closed.p50_ms - self.bare.p50_ms

    @property
    def cpu_ms(self) -> float:
        """The server's CPU time for one request."""
        return 1000 * self.server_cpu_s / max(self.closed.requests, 1)

    @property
    def bare_cpu_ms(self) -> float:
        return 1000 * self.bare.cpu_s / self.bare.images

    @property
    def wrk_cpu_ms(self) -> float:
        return 1000 * self.closed.wrk_cpu_s / max(self.closed.requests, 1)


def select(
    samples: Iterable[Sample], photo: str, form: str | None = None, count: int = 1
) -> list[Sample]:
    """Return the samples of one table cell, in the order of the rounds."""
    return [
        sample
        for sample in samples
        if (sample.photo, sample.connections) == (photo, count) and form in (None, sample.form)
    ]


def median_of(samples: Iterable[Sample], value: Callable[[Sample], float]) -> float:
    return median(map(value, samples))


@dataclass(frozen=True, slots=True)
class RequestMemory:
    """The peak of Python's memory during one request, beyond what was allocated before it.

    `pixel_bytes` is the size of the model's input array, which is part of the peak.
    """

    form: str
    body_bytes: int
    pixel_bytes: int
    peak_bytes: int

    @property
    def per_body(self) -> float:
        """The peak without the pixels, as a multiple of the body."""
        return (self.peak_bytes - self.pixel_bytes) / self.body_bytes


@dataclass(frozen=True, slots=True)
class ModelResult:
    """All measurements with one model.

    `cold_s` and `warm_s` are the seconds from start to ready without and with an optimised graph
    beside the store; `memory` is from after the last load.
    """

    model: str
    cold_s: list[float]
    warm_s: list[float]
    request_memory: list[RequestMemory]
    samples: list[Sample]
    capacity_per_s: float
    open_loops: list[OpenLoop]
    memory: Memory


@dataclass(frozen=True, slots=True)
class BenchResult:
    conditions: Conditions
    plan: Plan
    models: list[ModelResult]
