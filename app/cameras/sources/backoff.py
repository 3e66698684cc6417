"""Pauses between attempts to connect."""

import random

FIRST_S, LONGEST_S = 0.25, 1.0  # a camera that is back must be seen within 5 s


class Backoff:
    """Each pause is twice as long as the last, up to a limit, and shortened by up to half.

    Without that chance all cameras behind one switch would be asked in the same moment.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def pause_s(self) -> float:
        pause_s = self._next_s * random.uniform(0.5, 1)  # noqa: S311  no secret
        self._next_s = min(2 * self._next_s, LONGEST_S)
        return pause_s

    def reset(self) -> None:
        self._next_s = FIRST_S
