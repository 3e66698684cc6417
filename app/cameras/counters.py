"""What is counted of a camera."""

import time
from collections import deque
from dataclasses import dataclass, field

LOOKS = 20


@dataclass(slots=True)
class Counters:
    """Counts since the start, and the rate of the last looks."""

    seen: int = 0
    unchanged: int = 0
    dropped: int = 0
    failed: int = 0
    reconnects: int = 0
    _looks: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))

    def look(self) -> None:
        self._looks.append(time.monotonic())

    @property
    def looks_per_s(self) -> float:
        if len(self._looks) < 2:
            return 0.0
        spans = len(self._looks) - 1
        mean_s = (self._looks[-1] - self._looks[0]) / spans
        waiting_s = time.monotonic() - self._looks[-1]
        return 1 / max(mean_s, waiting_s, 1e-3)
