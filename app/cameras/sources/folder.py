"""A folder into which something else writes images: each new file is a frame."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncGenerator
from typing import NamedTuple

from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.frame import Frame
from app.cameras.sources.source import SourceError
from app.cameras.sources.whole_file import is_whole
from app.cameras.status import SourceStatus
from app.images.decode_memory import DecodeMemory
from app.images.limits import ImageLimits

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif")
POLL_S = 0.1
PAUSE_FACTOR = 4  # times what a look took, so that a large folder takes at most a fifth of a core
MAX_FILES = 20_000  # that a folder may hold


class Entry(NamedTuple):
    """A version of a file; the newest is the one that was written or renamed last."""

    changed_ns: int
    name: str
    size: int


class FolderSource:
    """The newest file of a folder, once it is complete; links are not followed.

    A JPEG, PNG or WebP is complete when it has its end, another file when it did not change between
    two looks. What lies in the folder at the start is not new. A file that is renamed is as new as
    one that is written, whatever time of writing it has.
    """

    opening_s = 0.0

    def __init__(
        self, path: str, limits: ImageLimits, memory: DecodeMemory, max_bytes: int
    ) -> None:
        self.status = SourceStatus(kind="folder", address=path)
        self._path, self._limits, self._memory = path, limits, memory
        self._max_bytes = max_bytes
        self._last: Entry | None = None  # newer ones are new, also after the folder was away
        self._looked = False

    async def frames(self) -> AsyncGenerator[Frame | None, None]:
        """Raises `SourceError` if the folder cannot be read."""
        if not self._looked:
            self._last, _ = await asyncio.to_thread(self._newest)  # not new
            self._looked = True
        seen: Entry | None = None
        pause_s = POLL_S
        while True:
            yield None
            await asyncio.sleep(pause_s)
            newest, took_s = await asyncio.to_thread(self._newest)
            pause_s = max(POLL_S, PAUSE_FACTOR * took_s)
            if newest is None or (self._last is not None and newest <= self._last):
                continue
            data = await asyncio.to_thread(self._read, newest)
            if newest != seen and not is_whole(data):  # perhaps still being written
                seen = newest
                continue
            self._last = newest
            if data:
                yield Frame(EncodedFrame(data, self._limits, self._memory))

    async def close(self) -> None:
        """Nothing is open between two looks."""

    def _newest(self) -> tuple[Entry | None, float]:
        """The newest file, and the processor time in seconds that the look took."""
        newest: Entry | None = None
        began = time.thread_time()
        try:
            with os.scandir(self._path) as entries:
                for count, entry in enumerate(entries):
                    if count >= MAX_FILES:
                        raise SourceError(f"The folder has more than {MAX_FILES} files.")
                    if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:  # gone
                        continue
                    if stat.S_ISREG(found.st_mode) and found.st_size:
                        one = Entry(found.st_ctime_ns, entry.name, found.st_size)
                        newest = one if newest is None or one > newest else newest
        except OSError as error:
            raise SourceError(f"Cannot read the folder: {error.strerror or error}.") from None
        return newest, time.thread_time() - began

    def _read(self, entry: Entry) -> bytes:
        """The bytes of a file; none if it is too large or has changed or gone."""
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                file = os.open(entry.name, flags, dir_fd=folder)
            finally:
                os.close(folder)
            with os.fdopen(file, "rb") as opened:
                found = os.fstat(file)
                same = (found.st_ctime_ns, found.st_size) == (entry.changed_ns, entry.size)
                if not (stat.S_ISREG(found.st_mode) and same and found.st_size <= self._max_bytes):
                    return b""
                return opened.read(self._max_bytes)
        except OSError:  # gone, or a link now
            return b""
