"""A folder into which something else writes images: each new file is a frame."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from typing import NamedTuple

from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.frame import Frame
from app.cameras.sources.source import SourceError
from app.cameras.status import SourceStatus
from app.images.decode_memory import DecodeMemory
from app.images.limits import ImageLimits

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif")
POLL_S = 0.1
MAX_FILES = 20_000  # that a folder may hold; looking at more takes longer than a poll


class Entry(NamedTuple):
    """A version of a file."""

    modified_ns: int
    name: str
    size: int


class FolderSource:
    """The newest file of a folder, once it is complete; links are not followed.

    A file is complete when it did not change between two looks. What lies in the folder at the
    start is not new. Programs that write `.part` or dot files first and rename them are fine.
    """

    opening_s = 0.0

    def __init__(
        self, path: str, limits: ImageLimits, memory: DecodeMemory, max_bytes: int
    ) -> None:
        self.status = SourceStatus(kind="folder", address=path)
        self._path, self._limits, self._memory = path, limits, memory
        self._max_bytes = max_bytes

    async def frames(self) -> AsyncGenerator[Frame | None, None]:
        """Raises `SourceError` if the folder cannot be read."""
        last = await asyncio.to_thread(self._newest)  # not new
        seen: Entry | None = None
        while True:
            yield None
            await asyncio.sleep(POLL_S)
            newest = await asyncio.to_thread(self._newest)
            if newest is None or (last is not None and newest <= last):
                continue
            if newest != seen:  # new, or still being written
                seen = newest
                continue
            data = await asyncio.to_thread(self._read, newest)
            last = newest
            if data is not None:
                yield Frame(EncodedFrame(data, self._limits, self._memory))

    async def close(self) -> None:
        """Nothing is open between two looks."""

    def _newest(self) -> Entry | None:
        newest: Entry | None = None
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
                        one = Entry(found.st_mtime_ns, entry.name, found.st_size)
                        newest = one if newest is None or one > newest else newest
        except OSError as error:
            raise SourceError(f"Cannot read the folder: {error.strerror or error}.") from None
        return newest

    def _read(self, entry: Entry) -> bytes | None:
        """The bytes of a file; None if it is too large or has changed or gone."""
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                file = os.open(entry.name, flags, dir_fd=folder)
            finally:
                os.close(folder)
            with os.fdopen(file, "rb") as opened:
                found = os.fstat(file)
                same = (found.st_mtime_ns, found.st_size) == (entry.modified_ns, entry.size)
                if not (stat.S_ISREG(found.st_mode) and same and found.st_size <= self._max_bytes):
                    return None
                return opened.read(self._max_bytes)
        except OSError:  # gone, or a link now
            return None
