"""Brown-out instead of black-out: under overload `auto` answers with cheaper variants, in steps.

Step 0 is the most accurate variant of the frontier, each step one that is faster. It goes down as
soon as work piles up, as far as the rate of arrivals demands; up only one step at a time, and only
after the load has been such, for a while, that the better variant could carry it with room to
spare. A step up that proves wrong doubles the while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LOOK_S = 0.1  # the state is looked at this often
PRESSED = 0.25  # down when the wait takes this share of what it may
FULL_LOAD = 0.85  # a step can carry what keeps the workers this busy
LIGHT_LOAD = 0.7  # up when the step above would keep them less busy than this
HOLD_S = 3.0  # for this long
LONGEST_HOLD_S = 60.0
REGRET_S = 10.0  # a step down within this time says that the last one up was wrong
SETTLE_S = 0.5  # what still waits was chosen before the last step down: give it time to go
MEMORY = 0.6  # weight of what was known of the rate, a look


@dataclass(frozen=True, slots=True)
class Load:
    """What presses on the workers.

    `pressure` is the wait as a share of what it may be: of the deadline, or of the queue.
    `service_ms` are the times of one image on one worker, by step, longest first.
    """

    arrived: int  # images that ever came
    pressure: float
    workers: int
    service_ms: Sequence[float]


class Brownout:
    """The present step; event loop only."""

    def __init__(self, clock: Callable[[], float], on_step: Callable[[int, int], None]) -> None:
        """`on_step` is told the old and the new step."""
        self._clock = clock
        self._on_step = on_step
        self._looked_s = clock()
        self._arrived: int | None = None
        self._light_since_s: float | None = None
        self._rose_s: float | None = None
        self._fell_s: float | None = None
        self._hold_s = HOLD_S
        self.arrivals_per_s = 0.0  # smoothed
        self._newest_per_s = 0.0  # since the last look
        self.step = 0

    @property
    def due(self) -> bool:
        """Whether it is time to look again."""
        return self._clock() - self._looked_s >= LOOK_S

    def look(self, load: Load) -> int:
        """Take notice of the load and decide; returns the step."""
        now_s = self._clock()
        self._count(load.arrived, now_s)
        deepest = len(load.service_ms) - 1
        step = min(self.step, deepest)
        if load.pressure > PRESSED:
            self._light_since_s = None
            step = self._down(load, step, deepest, now_s)
        elif step and _busy(load, step - 1, self.arrivals_per_s) < LIGHT_LOAD:
            if self._light_since_s is None:
                self._light_since_s = now_s
            if now_s - self._light_since_s >= self._hold_s:
                step -= 1
                self._rose_s, self._light_since_s = now_s, None
        else:
            self._light_since_s = None
        self._go(step)
        return step

    def _down(self, load: Load, step: int, deepest: int, now_s: float) -> int:
        """The first step below that carries the arrivals; the last one if none does.

        A burst has to be met at once, so the newest rate counts if it is above the smoothed one.
        """
        rate = max(self.arrivals_per_s, self._newest_per_s)
        settling = self._fell_s is not None and now_s - self._fell_s < SETTLE_S
        if step == deepest or (settling and _busy(load, step, rate) < FULL_LOAD):
            return step
        self._fell_s = now_s
        if self._rose_s is not None:
            wrong = now_s - self._rose_s < REGRET_S
            self._hold_s = min(2 * self._hold_s, LONGEST_HOLD_S) if wrong else HOLD_S
            self._rose_s = None
        below = range(step + 1, deepest + 1)
        return next((at for at in below if _busy(load, at, rate) < FULL_LOAD), deepest)

    def _count(self, arrived: int, now_s: float) -> None:
        passed_s = now_s - self._looked_s
        self._looked_s = now_s
        if self._arrived is not None and passed_s > 0:
            # After a pause the old rate says nothing: its weight goes with the looks left out.
            kept = MEMORY ** (passed_s / LOOK_S)
            self._newest_per_s = (arrived - self._arrived) / passed_s
            self.arrivals_per_s = kept * self.arrivals_per_s + (1 - kept) * self._newest_per_s
        self._arrived = arrived

    def _go(self, step: int) -> None:
        if step != self.step:
            before, self.step = self.step, step
            self._on_step(before, step)


def _busy(load: Load, step: int, arrivals_per_s: float) -> float:
    """How busy the workers would be at a step, 1 being all the time."""
    return arrivals_per_s * load.service_ms[step] / 1000 / load.workers
