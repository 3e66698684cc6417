"""Turns for long JSON, which is parsed on the event loop and holds up every other request."""

import asyncio

from app.errors import Overloaded

SHORT_VALUES = 10_000  # parsed in a millisecond
VALUE_S = 0.15e-6  # parsing one number and checking it
SHARE = 1 / 4  # of the event loop's time
MAX_WAIT_S = 2.0


class ParseTurns:
    """Spaces long texts so that parsing them takes a quarter of the time; event loop only."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def wait_s(self, values: int) -> float:
        """Take a turn; return how long to wait for it.

        Raises:
            Overloaded: it would be longer than `MAX_WAIT_S`.
        """
        if values <= SHORT_VALUES:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        wait_s = max(self._next_s - now_s, 0.0)
        if wait_s > MAX_WAIT_S:
            raise Overloaded("Too many numbers wait to be parsed. Send pixels as binary data.")
        self._next_s = now_s + wait_s + values * VALUE_S / SHARE
        return wait_s
