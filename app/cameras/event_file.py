"""Every event as a line of JSON in a file that does not grow for ever."""

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.cameras.broadcast import Subscription
from app.cameras.event import Event, fields
from app.errors import SettingError

log = logging.getLogger(__name__)


class EventFileSettings(BaseModel):
    """The table `[events]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: Path = Field(description="File that every event is appended to, as a line of JSON.")
    limit_bytes: int = Field(
        10_000_000,
        ge=10_000,
        description="Maximum size of the file and the one before it, `FILE.1`, together.",
    )


class EventFile:
    """Appends events; a full disk costs the events of that time, and one line of the log."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path, self._limit_bytes = path, limit_bytes // 2
        self._failing = False
        self._lost = 0

    @classmethod
    def open(cls, settings: EventFileSettings) -> Self:
        """The file, which is created if it is missing.

        Raises:
            SettingError: it cannot be written.
        """
        try:
            settings.file.parent.mkdir(parents=True, exist_ok=True)
            with settings.file.open("ab"):
                pass
        except OSError as error:
            raise SettingError(
                f"events.file: cannot write {settings.file}: {error.strerror or error}."
            ) from error
        return cls(settings.file, settings.limit_bytes)

    async def follow(self, subscription: Subscription) -> None:
        """Append each event of a subscription, until it ends."""
        async for message in subscription:
            if isinstance(message, Event):
                await asyncio.to_thread(self.append, message)

    def append(self, event: Event) -> None:
        """Append an event, or count it as lost; on one thread at a time."""
        line = json.dumps(fields(event), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self._write(line)
        except OSError as error:
            self._lost += 1
            if not self._failing:
                self._failing = True
                log.error("events.file: events are lost until it works again: %s", error)
            return
        if self._failing:
            log.info("events.file: writing again; %s events were lost.", self._lost)
            self._failing, self._lost = False, 0

    def _write(self, line: bytes) -> None:
        with self._path.open("a+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not size or size + len(line) <= self._limit_bytes:
                self._append(file.fileno(), line, size)
                return
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        with self._path.open("a+b", buffering=0) as file:
            self._append(file.fileno(), line, 0)

    def _append(self, file: int, line: bytes, size: int) -> None:
        """Write a whole line, or nothing: half of one would spoil the next."""
        if size and os.pread(file, 1, size - 1) != b"\n":  # a power cut in the middle of a line
            line = b"\n" + line
        try:
            written = os.write(file, line)
            if written < len(line):
                os.write(file, line[written:])  # raises what is wrong
        except OSError:
            os.ftruncate(file, size)
            raise
