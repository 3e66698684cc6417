"""The files of a run: rows that are appended as they are known, and what they are the rows of.

Rows are written whole and handed to the system at once, so that a run that is killed loses at most
the one that was being written; that one is cut off when the run is taken up again. Nothing else of
a file is ever cut: one that was changed in between, by a spreadsheet say, is refused.
"""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

from mobilenet_gateway_client._command.rows import Row
from mobilenet_gateway_client._errors import ClientError
from mobilenet_gateway_client._transport import without_credentials

SYNC_ROWS = 256  # between calls of fsync(2), for when the machine and not the process ends


class OutputError(ClientError):
    """The output cannot be written, or is not of the same run; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What has to be the same for rows to go into the same file."""

    url: str
    folder: str
    model: str
    resolution: int | None
    top_k: int
    recursive: bool


class Form(Protocol):
    """How rows stand in a file."""

    def head(self) -> bytes:
        """What a new file begins with."""

    def line(self, row: Row) -> bytes:
        """One row."""

    def scan(self, lines: Iterable[bytes]) -> Iterator[str | None]:
        """After each whole row its file name, or None for the head; stops at a torn last row.

        Raises:
            OutputError: there is something else in the file than such rows.
        """


class JsonLines:
    """One JSON object a line."""

    _BEGIN = b'{"file": "'

    def head(self) -> bytes:
        return b""

    def line(self, row: Row) -> bytes:
        return json.dumps(row.nested()).encode() + b"\n"

    def scan(self, lines: Iterable[bytes]) -> Iterator[str | None]:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n") and line.startswith(self._BEGIN[: len(line)]):
                return
            try:
                name = json.loads(line)["file"] if line.endswith(b"\n") else None
            except (ValueError, KeyError, TypeError):
                name = None
            if not isinstance(name, str):
                raise _no_row(number)
            yield name


class Csv:
    """Comma-separated values (RFC 4180) with a head; file names keep bytes that are not UTF-8."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)

    def head(self) -> bytes:
        return self._encode(self._columns)

    def line(self, row: Row) -> bytes:
        flat = row.flat()
        return self._encode([flat.get(column, "") for column in self._columns])

    def scan(self, lines: Iterable[bytes]) -> Iterator[str | None]:
        above, read = 0, list[bytes]()  # lines before the record, and of it
        ended = False

        def texts() -> Iterator[str]:
            nonlocal ended
            for line in lines:
                read.append(line)
                yield _text(line)
            ended = True

        records = csv.reader(texts(), strict=True)
        while True:
            try:
                record = next(records, None)
                if record is None:
                    return
                torn = not read[-1].endswith(b"\n") and len(record) <= len(self._columns)
            except csv.Error:  # at the end: a quoted value is open
                record, torn = next(csv.reader(map(_text, read))) if ended else [], ended
            if not above and record != self._columns:
                torn = self.head().startswith(b"".join(read))
                if not torn:
                    raise OutputError(f"its columns are not {', '.join(self._columns)}")
            if torn and not any(map(self._may_have_row, record)):
                return
            if torn or len(record) != len(self._columns):
                raise _no_row(above + 1)
            yield record[0] if above else None
            above += len(read)
            read.clear()

    def _may_have_row(self, value: str) -> bool:
        """Whether a value is long enough for a quote too many to have swallowed a row."""
        return value.count(",") >= len(self._columns) - 1

    def _encode(self, values: Sequence[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerow(values)  # with \r\n, so that either is quoted inside of a value
        return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n"


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _no_row(line: int) -> OutputError:
    return OutputError(f"line {line} is no row of this run")


class RunFile:
    """Rows in a file that may have been begun by an earlier run; use it as a context manager.

    `done` has the names of the files that have a row.

    Raises:
        OutputError: the file is there but not of this run, or was changed, another run writes it,
            or it cannot be written.
    """

    def __init__(self, path: Path, form: Form, identity: Identity) -> None:
        self.path = path
        self.done: set[str] = set()
        self._form = form
        self._since_sync = 0
        try:
            self._note = _claim(path, identity)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise OutputError(f"{error.filename or path}: {error.strerror}") from error
        try:
            self._take_up()
        except BaseException:
            self._file.close()
            self._note.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.done:  # a run that was refused shall not stand in the way of the next
            self.path.unlink(missing_ok=True)
            note_path(self.path).unlink(missing_ok=True)
        self._note.close()

    def append(self, row: Row) -> None:
        """Add a row and hand it to the system.

        Raises:
            OutputError: it cannot be written, such as on a full disk.
        """
        try:
            self._file.write(self._form.line(row))
            self._file.flush()
            self._since_sync += 1
            if self._since_sync >= SYNC_ROWS:
                os.fsync(self._file.fileno())
                self._since_sync = 0
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}") from error
        self.done.add(row.file)

    def _take_up(self) -> None:
        """Learn what is done, and cut off what was not written whole."""
        position = good = 0

        def lines() -> Iterator[bytes]:
            nonlocal position
            with self.path.open("rb") as file:
                for line in file:
                    position += len(line)
                    yield line

        try:
            for name in self._form.scan(lines()):
                good = position
                if name is not None:
                    self.done.add(name)
        except OutputError as error:
            raise OutputError(
                f"{self.path} was changed: {error}; put that right, name another file, "
                f"or remove {self.path.name} to begin anew"
            ) from error
        self._file.truncate(good)
        if not good:
            self._file.write(self._form.head())
            self._file.flush()


def note_path(path: Path) -> Path:
    """Where it stands what a file's rows are of."""
    return path.with_name(f".{path.name}.run.json")


def _claim(path: Path, identity: Identity) -> IO[str]:
    """Lock the note of a run, after checking that it is the same run, or beginning it."""
    named = note_path(path)
    known = named.exists()
    if path.exists() and path.stat().st_size and not known:
        raise OutputError(
            f"{path} is there already and was not written by this command; "
            "name another file or remove it"
        )
    note = named.open("a+", encoding="utf-8")
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        note.close()
        raise OutputError(f"another run is writing {path}") from error
    except OSError:
        pass  # a network's file system may have no locks
    note.seek(0)
    wanted = asdict(identity)
    try:
        noted = json.loads(note.read() or "{}")
    except ValueError:
        noted = {}
    before = noted if isinstance(noted, dict) else {}
    if "url" in before:  # credentials were noted once, and shall not be any longer
        before = {**before, "url": without_credentials(str(before["url"]))}
    if before and before != wanted and path.exists():
        note.close()
        changed = [
            f"{key} was {before.get(key)!r} and is now {wanted.get(key)!r}"
            for key in sorted({*before, *wanted})
            if before.get(key) != wanted.get(key)
        ]
        raise OutputError(
            f"{path} was begun by another run: {'; '.join(changed)}; "
            f"name another file, or remove {path.name} to begin anew"
        )
    if noted != wanted:
        note.truncate(0)
        json.dump(wanted, note, indent=1)
        note.flush()
    return note
