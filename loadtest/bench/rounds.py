"""Rounds of the closed loop beside the bare loop.

The two take turns within a second or two, so that interference on the machine affects both. Ratios
are taken within a round, and the median of the rounds is reported.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.plan import Plan, connections
from loadtest.bench.result import Sample
from loadtest.host.server import Server
from loadtest.load.bare_loop import BareLoop, BareRun
from loadtest.load.body import PATH, BodyFile
from loadtest.load.wrk import run_wrk


@dataclass(frozen=True, slots=True)
class Rounds:
    """The service and the bare loop to measure in turn."""

    server: Server
    bare: BareLoop
    cores: int
    plan: Plan
    step: Callable[[str], None]

    def measure(self, photo: Path, bodies: Iterable[BodyFile]) -> list[Sample]:
        """Run one round with all bodies of a photo at every number of connections."""
        samples = []
        for count in reversed(connections(self.cores)):
            threads = min(count, self.cores)
            self.step(f"bare loop, {photo.stem}, {threads} threads")
            bare = self.bare.run(photo, threads, self.plan.bare_s)
            for body in bodies:
                self.step(f"{photo.stem} {body.form}, {count} connections")
                samples.append(self._sample(photo.stem, body, count, bare))
        return samples

    def _sample(self, photo: str, body: BodyFile, count: int, bare: BareRun) -> Sample:
        before_s = self.server.cpu_s()
        closed = run_wrk(self.server.url(PATH), body, count, self.plan.closed_s)
        used_s = self.server.cpu_s() - before_s
        return Sample(photo, body.form, count, closed, bare, used_s)
