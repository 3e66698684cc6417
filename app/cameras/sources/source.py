"""What every source of frames has in common."""

from collections.abc import AsyncGenerator
from typing import Protocol

from app.cameras.frames.frame import Frame
from app.cameras.status import SourceStatus


class SourceError(Exception):
    """No frames arrive; the text says why, without user, password or query."""


class Source(Protocol):
    """Where frames come from; event loop only."""

    opening_s: float  # time until the first frame, beside that between two frames

    @property
    def status(self) -> SourceStatus: ...

    def frames(self) -> AsyncGenerator[Frame | None, None]:
        """Connect, and yield each frame as it arrives; None says that there is nothing new.

        Raises:
            SourceError: it cannot be reached, or answers something else.
        """

    async def close(self) -> None:
        """End what outlives an iteration."""
