"""The file of a run: rows that are appended as they arrive, and a record of what they belong to.

Rows are written whole and handed to the system at once, so that a killed run loses at most the row
that it was writing. The next run cuts off that partial row and nothing else: a file that was
changed in between, for example by a spreadsheet, is rejected.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from mobilenet_gateway_client._command.formats import OutputError, RowFormat
from mobilenet_gateway_client._command.rows import Row
from mobilenet_gateway_client._transport import without_credentials

SYNC_ROWS = 256  # rows between calls of fsync(2), in case the machine loses power


@dataclass(frozen=True, slots=True)
class Identity:
    """What all rows of a file have in common."""

    url: str
    folder: str
    model: str
    resolution: int | None
    top_k: int
    recursive: bool


class RunFile:
    """Rows in a file, new or of an earlier run; use it as a context manager.

    `done` has the names of the images that have a row, `failed` those whose row is an error, with
    its detail. With `retry_failed`, rows of errors are removed first.

    Raises:
        OutputError: the file belongs to another run, was changed, is locked, or cannot be written.
    """

    def __init__(
        self, path: Path, row_format: RowFormat, identity: Identity, *, retry_failed: bool = False
    ) -> None:
        self.path = path
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        self._format = row_format
        self._appended = 0
        try:
            self._record = _lock_record(path, identity)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise OutputError(f"{error.filename or path}: {error.strerror}") from error
        try:
            self._resume(retry_failed=retry_failed)
        except BaseException:
            self._file.close()
            self._record.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.done:  # a run without rows must not block the next
            self.path.unlink(missing_ok=True)
            record_path(self.path).unlink(missing_ok=True)
        self._record.close()

    def append(self, row: Row) -> None:
        """Add a row and hand it to the system.

        Raises:
            OutputError: it cannot be written, for example because the disk is full.
        """
        try:
            self._file.write(self._format.line(row))
            self._file.flush()
            self._appended += 1
            if self._appended % SYNC_ROWS == 0:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}") from error
        self.done.add(row.file)
        if found := row.classification.error:
            self.failed[row.file] = found.detail

    def _resume(self, *, retry_failed: bool) -> None:
        """Read which images are done, and cut off a partial last row."""
        whole = 0
        dropped: list[tuple[int, int]] = []  # begin and end of rows
        try:
            with self.path.open("rb") as file:
                for row in self._format.scan(file):
                    begin, whole = whole, file.tell()
                    if row is None:
                        continue
                    if row.error is not None and retry_failed:
                        dropped.append((begin, whole))
                        continue
                    self.done.add(row.name)
                    if row.error is not None:
                        self.failed[row.name] = row.error
        except OutputError as error:
            raise OutputError(
                f"{self.path} was changed: {error}. Undo the change, name another file, "
                f"or remove {self.path.name} to start over."
            ) from error
        self._file.truncate(whole)
        if dropped:
            self._drop(dropped)
        if not whole:
            self._file.write(self._format.head())
            self._file.flush()

    def _drop(self, spans: Sequence[tuple[int, int]]) -> None:
        """Replace the file by one without these parts, whole or not at all."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with self.path.open("rb") as file, partial.open("wb") as copy:
                for begin, end in spans:
                    copy.write(file.read(begin - file.tell()))
                    file.seek(end)
                shutil.copyfileobj(file, copy)
                copy.flush()
                os.fsync(copy.fileno())
            shutil.copymode(self.path, partial)
            partial.replace(self.path)
            reopened = self.path.open("ab")
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(f"{self.path}: {error.strerror}") from error
        self._file.close()
        self._file = reopened


def record_path(path: Path) -> Path:
    """Where the identity of a file's rows is recorded."""
    return path.with_name(f".{path.name}.run.json")


def _lock_record(path: Path, identity: Identity) -> IO[str]:
    """Open and lock the record of a run, checking that it is the same run, or writing it."""
    recorded_at = record_path(path)
    if path.exists() and path.stat().st_size and not recorded_at.exists():
        raise OutputError(
            f"{path} exists and was not written by this command. Name another file or remove it."
        )
    record = recorded_at.open("a+", encoding="utf-8")
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        record.close()
        raise OutputError(f"Another run is writing {path}.") from error
    except OSError:
        pass  # network file systems may lack locks
    record.seek(0)
    wanted = asdict(identity)
    try:
        recorded = json.loads(record.read() or "{}")
    except ValueError:
        recorded = {}
    before = recorded if isinstance(recorded, dict) else {}
    if "url" in before:  # older versions recorded credentials
        before = {**before, "url": without_credentials(str(before["url"]))}
    if before.get("recursive") is False:  # this run may add the images of subfolders
        before = {**before, "recursive": wanted["recursive"]}
    if before and before != wanted and path.exists():
        record.close()
        changed = [
            f"{key} was {before.get(key)!r} and is now {wanted.get(key)!r}"
            for key in sorted({*before, *wanted})
            if before.get(key) != wanted.get(key)
        ]
        raise OutputError(
            f"{path} belongs to another run: {'; '.join(changed)}. "
            f"Name another file, or remove {path.name} to start over."
        )
    if recorded != wanted:
        record.truncate(0)
        json.dump(wanted, record, indent=1)
        record.flush()
    return record
