"""Streams and devices that FFmpeg reads, by PyAV, each on a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Literal

from app.cameras.frames.frame import Frame
from app.cameras.sources.source import SourceError
from app.cameras.status import SourceStatus

JOIN_S = 0.5  # a thread that FFmpeg holds for longer ends by itself, with the next timeout


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
            await self._arrived.wait()
            self._arrived.clear()
            with self._lock:
                frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            if self._end is not None:
                raise self._end

    def _wake(self) -> None:
        if not self.stopped:
            try:
                self._loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:  # the loop is closed: the service has stopped
                self.stopped = True


class VideoSource:
    """What FFmpeg reads; it is imported with the first frame, not at start."""

    def __init__(self, request: VideoRequest, shown: str, kind: Literal["video", "device"]) -> None:
        self.status = SourceStatus(kind=kind, address=shown)
        self._request = request

    async def frames(self) -> AsyncGenerator[Frame | None, None]:
        """As `Source.frames`."""
        newest = NewestFrame()
        thread = threading.Thread(target=self._read, args=(newest,), name="camera", daemon=True)
        thread.start()
        try:
            while True:
                yield await newest.get()
        finally:
            newest.stopped = True
            await asyncio.to_thread(thread.join, JOIN_S)

    async def close(self) -> None:
        """Everything ends with the iteration."""

    def _read(self, newest: NewestFrame) -> None:
        """Put frames until `newest` is stopped or the stream ends; never raises."""
        try:
            from app.cameras.sources.ffmpeg import read_frames

            reason = read_frames(self._request, self.status.kind == "device", newest)
        except Exception as error:  # its text may hold the address
            reason = f"The stream cannot be read ({type(error).__name__})."
        newest.end(SourceError(reason))
