"""Rounds of the closed loop beside the bare loop, and their medians.

The two take turns within a second or two, so that a noisy machine hits both; ratios are taken
within a round, and the median of the rounds is reported.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loadtest.bench.plan import FEW, Plan, connections
from loadtest.host.server import Server
from loadtest.load.bare_loop import BareLoop, BareRun
from loadtest.load.body import FORMS
from loadtest.load.photos import Photo
from loadtest.load.wrk import ClosedLoop, run_wrk

PATH = "/predict"


@dataclass(frozen=True, slots=True)
class BodyFile:
    """A request body on disk, for the generators to read."""

    form: str
    path: Path
    content_type: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the closed loop and the bare loop that ran shortly before it."""

    photo: str
    form: str
    connections: int
    closed: ClosedLoop
    bare: BareRun
    server_cpu_s: float

    @property
    def ratio(self) -> float:
        """Requests a second as a share of the bare loop's images a second."""
        return self.closed.requests_per_s / self.bare.images_per_s

    @property
    def extra_ms(self) -> float:
        """Median latency beyond the bare loop's median time for one image."""
        return self.closed.p50_ms - self.bare.p50_ms

    @property
    def cpu_ms(self) -> float:
        """The server's processor time for one request."""
        return 1000 * self.server_cpu_s / max(self.closed.requests, 1)

    @property
    def bare_cpu_ms(self) -> float:
        return 1000 * self.bare.cpu_s / self.bare.images

    @property
    def wrk_cpu_ms(self) -> float:
        return 1000 * self.closed.wrk_cpu_s / max(self.closed.requests, 1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a round needs: the service, the loop beside it, and how long to run."""

    server: Server
    bare: BareLoop
    cores: int
    plan: Plan
    step: Callable[[str], None]

    def visit(self, photo: Photo, bodies: Sequence[BodyFile]) -> list[Sample]:
        """All bodies of a photo at every number of connections, the first body nearest to bare."""
        samples = []
        for count in reversed(connections(self.cores)):
            threads = min(count, self.cores)
            self.step(f"bare loop, {photo.name}, {threads} threads")
            bare = self.bare.run(photo.path, threads, self.plan.bare_s)
            for body in bodies:
                self.step(f"{photo.name} {body.form}, {count} connections")
                samples.append(self._sample(photo, body, count, bare))
        return samples

    def _sample(self, photo: Photo, body: BodyFile, count: int, bare: BareRun) -> Sample:
        before_s = self.server.cpu_s()
        closed = run_wrk(
            self.server.url(PATH), body.path, body.content_type, count, self.plan.closed_s
        )
        used_s = self.server.cpu_s() - before_s
        return Sample(photo.name, body.form, count, closed, bare, used_s)


def write_bodies(photo: Photo, folder: Path) -> list[BodyFile]:
    """The photo in every form."""
    image = photo.path.read_bytes()
    files = []
    for form, make in FORMS.items():
        body = make(image)
        path = body.write(folder / f"{photo.name}.{form}")
        files.append(BodyFile(form, path, body.content_type))
    return files


def select(
    samples: Iterable[Sample], photo: str, form: str | None = None, count: int = FEW
) -> list[Sample]:
    """The samples of one cell, in the order of the rounds."""
    return [
        sample
        for sample in samples
        if (sample.photo, sample.connections) == (photo, count) and form in (None, sample.form)
    ]


def middle(samples: Iterable[Sample], value: Callable[[Sample], float]) -> float:
    """Median of the rounds."""
    return median(map(value, samples))
