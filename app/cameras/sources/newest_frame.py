"""Between the thread that reads a stream and the event loop: the request, the newest frame."""

import asyncio
import threading
from dataclasses import dataclass, replace

from app.cameras.frames.frame import Frame
from app.cameras.sources.source import SourceError


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """An address without its secrets, and how to read it."""

    url: str
    credentials: tuple[str, str] | None
    verify_tls: bool
    stalled_s: float
    max_pixels: int

    def __repr__(self) -> str:
        return f"VideoRequest({self.url.partition('?')[0]!r})"


class NewestFrame:
    """Hands the newest frame from a thread to the event loop, and counts those it replaced."""

    def __init__(self) -> None:
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._end: SourceError | None = None

    def put(self, frame: Frame) -> None:
        """Called on the thread."""
        with self._lock:
            older, self._frame = self._frame, frame
            if older is not None:  # the loop has not looked yet, and was told already
                self._frame = replace(frame, replaced=older.replaced + 1)
                return
        self._wake()

    def end(self, error: SourceError) -> None:
        """Called on the thread, at its end."""
        with self._lock:
            self._end = error
        self._wake()

    async def get(self) -> Frame:
        """Raises `SourceError` at the end."""
        while True:
            self._arrived.clear()
            with self._lock:
                frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            if self._end is not None:  # after the last frame
                raise self._end
            await self._arrived.wait()

    def _wake(self) -> None:
        if not self.stopped:
            try:
                self._loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:  # the loop is closed: the service has stopped
                self.stopped = True
