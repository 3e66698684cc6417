"""The folder of kept images: an image and a record in JSON for each, named by the time.

The record is written last and removed first, so an image without one was not kept. Files with other
names are left alone. Nothing is synced to disk: a power cut may cost the last images.
"""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from app.errors import UnknownCapture

ID_FORMAT = "%Y%m%dT%H%M%S%fZ"
FILE = re.compile(r"(?P<id>\d{8}T\d{12}Z)\.(?P<suffix>[a-z]{3,4})")
RECORD, PARTIAL = "json", "part"

Reason = Literal["unknown", "uncertain", "audit"]


@dataclass(frozen=True, slots=True)
class Capture:
    """A kept image without its bytes, and why it was kept."""

    model: str
    reason: Reason
    predictions: tuple[dict[str, Any], ...]  # as in the answer
    id: str = ""
    image_bytes: int = 0

    @property
    def created(self) -> datetime:
        return _time(self.id)


@dataclass(frozen=True, slots=True)
class _Files:
    """The image and the record of one capture."""

    suffix: str  # of the image
    size_bytes: int  # of both


class CaptureFolder:
    """Kept images; for any threads.

    All files together have at most `limit_bytes`, and none is older than `max_age_h` after
    `remove_old`.
    """

    def __init__(self, path: Path, limit_bytes: int, max_age_h: float) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self._max_age = timedelta(hours=max_age_h)
        self._lock = RLock()
        self._kept: dict[str, _Files] | None = None  # by id, the oldest first

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        with self._lock:
            return sum(files.size_bytes for files in self._files().values())

    def add(self, image: bytes, capture: Capture, suffix: str, now: datetime) -> Capture | None:
        """Keep an image, and remove the oldest ones that have no place beside it.

        None if it has no place even alone.

        Raises:
            OSError: it cannot be written, for example because the disk is full.
        """
        with self._lock:
            kept = self._files()
            if newest := next(reversed(kept), ""):
                now = max(now, _time(newest) + timedelta(microseconds=1))  # ids are in order
            added = replace(capture, id=now.strftime(ID_FORMAT), image_bytes=len(image))
            record = json.dumps(asdict(added), ensure_ascii=False).encode()
            needed = len(image) + len(record)
            if needed > self.limit_bytes:
                return None
            total = self.size_bytes
            for capture_id, files in list(kept.items()):
                if total + needed <= self.limit_bytes:
                    break
                total -= files.size_bytes
                self._remove(capture_id)
            try:
                self._write(added.id, suffix, image)
                self._write(added.id, RECORD, record)
            except OSError:
                with suppress(OSError):
                    self._unlink(added.id, PARTIAL, RECORD, suffix)
                raise
            kept[added.id] = _Files(suffix, needed)
            return added

    def newest(self, limit: int, before: str = "") -> list[Capture]:
        """The newest images, or the newest of those before an id; the newest first."""
        with self._lock:
            ids = [each for each in reversed(self._files()) if not before or each < before]
        found: list[Capture] = []
        for capture_id in ids:
            if len(found) == limit:
                break
            with suppress(OSError, ValueError, TypeError, KeyError):  # removed or damaged by others
                record = json.loads(self._path(capture_id, RECORD).read_bytes())
                found.append(Capture(**{**record, "predictions": tuple(record["predictions"])}))
        return found

    def read(self, capture_id: str) -> bytes:
        """The bytes of an image.

        Raises:
            UnknownCapture: no kept image has this id.
        """
        with self._lock:
            files = self._files().get(capture_id)
        if files is not None:
            with suppress(FileNotFoundError):  # removed by others
                return self._path(capture_id, files.suffix).read_bytes()
        raise _unknown(capture_id)

    def remove(self, capture_id: str) -> None:
        """Remove an image.

        Raises:
            UnknownCapture: no kept image has this id.
        """
        with self._lock:
            if capture_id not in self._files():
                raise _unknown(capture_id)
            self._remove(capture_id)

    def clear(self) -> None:
        """Remove all images."""
        with self._lock:
            for capture_id in list(self._files()):
                self._remove(capture_id)

    def remove_old(self, now: datetime) -> None:
        """Remove the images that are too old."""
        with self._lock:
            for capture_id in list(self._files()):
                if now - _time(capture_id) <= self._max_age:
                    break
                self._remove(capture_id)

    def _files(self) -> dict[str, _Files]:
        """The files by id; at first use read from the folder, without the remains of a kill."""
        if self._kept is None:
            sizes: dict[str, dict[str, int]] = {}
            for path in self.path.iterdir():
                if (match := FILE.fullmatch(path.name)) and _is_time(match["id"]):
                    sizes.setdefault(match["id"], {})[match["suffix"]] = path.stat().st_size
            self._kept = {}
            for capture_id, sizes_bytes in sorted(sizes.items()):
                images = sizes_bytes.keys() - {RECORD, PARTIAL}
                if len(images) == 1 and RECORD in sizes_bytes and all(sizes_bytes.values()):
                    self._kept[capture_id] = _Files(images.pop(), sum(sizes_bytes.values()))
                else:
                    self._unlink(capture_id, *sizes_bytes)
        return self._kept

    def _write(self, capture_id: str, suffix: str, content: bytes) -> None:
        part = self._path(capture_id, PARTIAL)
        part.write_bytes(content)
        part.rename(self._path(capture_id, suffix))

    def _remove(self, capture_id: str) -> None:
        kept = self._files()
        self._unlink(capture_id, RECORD, kept[capture_id].suffix)
        del kept[capture_id]

    def _unlink(self, capture_id: str, *suffixes: str) -> None:
        for suffix in suffixes:
            self._path(capture_id, suffix).unlink(missing_ok=True)

    def _path(self, capture_id: str, suffix: str) -> Path:
        return self.path / f"{capture_id}.{suffix}"


def _time(capture_id: str) -> datetime:
    return datetime.strptime(capture_id, ID_FORMAT).replace(tzinfo=UTC)


def _is_time(capture_id: str) -> bool:
    with suppress(ValueError):
        return bool(_time(capture_id))
    return False


def _unknown(capture_id: str) -> UnknownCapture:
    return UnknownCapture(f"No kept image has the id {capture_id[:50]!r}. See GET /captures.")
