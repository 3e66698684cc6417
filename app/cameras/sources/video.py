"""Streams and devices that FFmpeg reads, by PyAV, each on a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Literal

from app.cameras.frames.frame import Frame
from app.cameras.sources.newest_frame import NewestFrame, VideoRequest
from app.cameras.sources.source import SourceError
from app.cameras.status import SourceStatus

JOIN_S = 0.5  # a thread that FFmpeg holds for longer ends by itself, with the next timeout


class VideoSource:
    """What FFmpeg reads; it is imported with the first frame, not at start."""

    opening_s = 8.0

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
