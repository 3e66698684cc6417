"""Brown-out: under overload, `auto` answers with cheaper variants, in steps.

Step 0 is the most accurate variant; each further step is a faster one. The step increases as soon
as work accumulates, as far as the arrival rate requires. It decreases by one at a time, after the
better variant could have handled the load with room to spare for a hold time. If that turns out to
be too early, the hold time doubles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

INTERVAL_S = 0.1  # between updates
HIGH_PRESSURE = 0.25  # step down above this
FULL_LOAD = 0.85  # maximum utilization that a step can sustain
LIGHT_LOAD = 0.7  # step up if the better variant would stay below this utilization
HOLD_S = 3.0  # for this long
MAX_HOLD_S = 60.0
TOO_EARLY_S = 10.0  # a step down this soon after a step up doubles the hold time
SETTLE_S = 0.5  # after a step down, the queue still holds images of the step before
SMOOTHING = 0.6  # weight of the old arrival rate per interval


@dataclass(frozen=True, slots=True)
class Load:
    """The load of the workers.

    `pressure` is the expected wait as a share of the deadline, or the fill level of the queue,
    whichever is larger. `service_ms` are the times of one image on one worker, by step, longest
    first.
    """

    arrived: int  # images since the start
    pressure: float
    workers: int
    service_ms: Sequence[float]


class Brownout:
    """The current step. Call it from the event loop only."""

    def __init__(self, clock: Callable[[], float], on_step: Callable[[int, int], None]) -> None:
        """`on_step` is called with the old and the new step."""
        self._clock = clock
        self._on_step = on_step
        self._updated_s = clock()
        self._arrived: int | None = None
        self._light_since_s: float | None = None
        self._rose_s: float | None = None
        self._fell_s: float | None = None
        self._hold_s = HOLD_S
        self.arrivals_per_s = 0.0  # smoothed
        self._newest_per_s = 0.0  # since the last update
        self.step = 0

    @property
    def due(self) -> bool:
        return self._clock() - self._updated_s >= INTERVAL_S

    def update(self, load: Load) -> int:
        """Record the load and choose the step; returns it."""
        now_s = self._clock()
        self._update_rate(load.arrived, now_s)
        deepest = len(load.service_ms) - 1
        step = min(self.step, deepest)
        if load.pressure > HIGH_PRESSURE:
            self._light_since_s = None
            step = self._step_down(load, step, deepest, now_s)
        elif step and _utilization(load, step - 1, self.arrivals_per_s) < LIGHT_LOAD:
            if self._light_since_s is None:
                self._light_since_s = now_s
            if now_s - self._light_since_s >= self._hold_s:
                step -= 1
                self._rose_s, self._light_since_s = now_s, None
        else:
            self._light_since_s = None
        if step != self.step:
            before, self.step = self.step, step
            self._on_step(before, step)
        return step

    def _step_down(self, load: Load, step: int, deepest: int, now_s: float) -> int:
        """The first further step that sustains the arrivals; the last one if none does.

        The newest rate replaces the smoothed one if it is higher, to react to a burst at once.
        """
        rate = max(self.arrivals_per_s, self._newest_per_s)
        settling = self._fell_s is not None and now_s - self._fell_s < SETTLE_S
        if step == deepest or (settling and _utilization(load, step, rate) < FULL_LOAD):
            return step
        self._fell_s = now_s
        if self._rose_s is not None:
            too_early = now_s - self._rose_s < TOO_EARLY_S
            self._hold_s = min(2 * self._hold_s, MAX_HOLD_S) if too_early else HOLD_S
            self._rose_s = None
        below = range(step + 1, deepest + 1)
        return next((at for at in below if _utilization(load, at, rate) < FULL_LOAD), deepest)

    def _update_rate(self, arrived: int, now_s: float) -> None:
        passed_s = now_s - self._updated_s
        self._updated_s = now_s
        if self._arrived is not None and passed_s > 0:
            # The weight of the old rate decreases with the missed updates.
            weight = SMOOTHING ** (passed_s / INTERVAL_S)
            self._newest_per_s = (arrived - self._arrived) / passed_s
            self.arrivals_per_s = weight * self.arrivals_per_s + (1 - weight) * self._newest_per_s
        self._arrived = arrived


def _utilization(load: Load, step: int, arrivals_per_s: float) -> float:
    """The utilization of the workers at a step; 1 means always busy."""
    return arrivals_per_s * load.service_ms[step] / 1000 / load.workers
