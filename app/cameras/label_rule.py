"""From the labels of frames to events: k in a row, hysteresis, minimum duration, cool-down.

Pure: times are seconds of any steady clock, and nothing waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """As in `app.cameras.settings.CameraSettings`."""

    start_probability: float
    end_probability: float
    in_a_row: int
    minimum_s: float
    cool_down_s: float
    labels: frozenset[str] = frozenset()  # empty means all


class Observation(NamedTuple):
    """The most probable label of a frame, and the probability of the present label in it."""

    label: str
    probability: float
    present_probability: float


class Change(NamedTuple):
    """The start or the end of a label."""

    state: Literal["start", "end"]
    label: str
    probability: float  # mean of the frames that started it
    started_at: float
    at: float


@dataclass(slots=True)
class _Candidate:
    label: str
    since: float
    probabilities: list[float]


class LabelRule:
    """The label in front of one camera.

    A label starts when it was the most probable one, with at least `start_probability`, in
    `in_a_row` frames one after another and for at least `minimum_s`. It ends when `in_a_row` frames
    one after another give it less than `end_probability`, or when another label starts. After that
    it cannot start again for `cool_down_s`.
    """

    def __init__(self, settings: RuleSettings) -> None:
        self._settings = settings
        self.present: Change | None = None  # how the present label started
        self._candidate: _Candidate | None = None
        self._misses = 0
        self._ended_at: dict[str, float] = {}

    @property
    def undecided(self) -> bool:
        """Whether more frames are needed, though nothing may change in them."""
        candidate = self._candidate
        too_few = candidate and len(candidate.probabilities) < self._settings.in_a_row
        return bool(too_few or self._misses)

    def observe(self, seen: Observation, now: float) -> list[Change]:
        """The changes after one more frame."""
        changes = []
        if self.present is not None:
            missed = seen.present_probability < self._settings.end_probability
            self._misses = self._misses + 1 if missed else 0
            if self._misses >= self._settings.in_a_row:
                changes.append(self._end(now))
        self._follow(seen, now)
        return changes + self.wait(now)

    def wait(self, now: float) -> list[Change]:
        """The changes after some time in which frames said the same as the last one."""
        candidate, settings = self._candidate, self._settings
        if candidate is None or len(candidate.probabilities) < settings.in_a_row:
            return []
        if now - candidate.since < settings.minimum_s or self._cooling_down(candidate.label, now):
            return []
        changes = [self._end(now)] if self.present is not None else []
        probability = fmean(candidate.probabilities)
        self.present = Change("start", candidate.label, probability, candidate.since, now)
        self._candidate, self._misses = None, 0
        return [*changes, self.present]

    def stop(self, now: float) -> list[Change]:
        """End the present label, because no more frames arrive."""
        self._candidate = None
        return [self._end(now)] if self.present is not None else []

    def _follow(self, seen: Observation, now: float) -> None:
        """Count the frames in a row with one label."""
        settings = self._settings
        wanted = not settings.labels or seen.label in settings.labels
        is_present = self.present is not None and seen.label == self.present.label
        if not wanted or is_present or seen.probability < settings.start_probability:
            self._candidate = None
        elif self._candidate is None or self._candidate.label != seen.label:
            self._candidate = _Candidate(seen.label, now, [seen.probability])
        elif len(self._candidate.probabilities) < settings.in_a_row:
            self._candidate.probabilities.append(seen.probability)

    def _end(self, now: float) -> Change:
        assert self.present is not None  # noqa: S101  both callers have looked
        started = self.present
        self.present, self._misses = None, 0
        self._ended_at[started.label] = now
        self._forget(now)
        return Change("end", started.label, started.probability, started.started_at, now)

    def _cooling_down(self, label: str, now: float) -> bool:
        ended_at = self._ended_at.get(label)
        return ended_at is not None and now - ended_at < self._settings.cool_down_s

    def _forget(self, now: float) -> None:
        """Drop what no longer counts, so that a thousand labels do not add up."""
        ended: Mapping[str, float] = self._ended_at
        self._ended_at = {
            label: at for label, at in ended.items() if now - at < self._settings.cool_down_s
        }
