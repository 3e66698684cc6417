"""The file formats to which rows can be appended."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from mobilenet_gateway_client._command.rows import Row, flatten
from mobilenet_gateway_client._errors import ClientError

ERROR_COLUMN = 1  # followed by the detail


class OutputError(ClientError):
    """The output cannot be written, or belongs to another run."""


class ScannedRow(NamedTuple):
    """A row of a file: its file name, and the detail of its error if it has one."""

    name: str
    error: str | None


class JsonLines:
    """One JSON object per line; has no head."""

    _BEGIN = b'{"file": "'

    def head(self) -> bytes:
        return b""

    def line(self, row: Row) -> bytes:
        return json.dumps(row.nested()).encode() + b"\n"

    def scan(self, lines: Iterable[bytes]) -> Iterator[ScannedRow | None]:
        """Yields each whole row, None for the head; stops at a partial last row.

        Raises:
            OutputError: the file has anything but such rows.
        """
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n") and line.startswith(self._BEGIN[: len(line)]):
                return
            try:
                row = json.loads(line) if line.endswith(b"\n") else {}
                name = row["file"]
                error = row["error"]["detail"] if "error" in row else None
            except (ValueError, KeyError, TypeError):
                raise _not_a_row(number) from None
            if not isinstance(name, str):
                raise _not_a_row(number)
            yield ScannedRow(name, error)


class Csv:
    """Comma-separated values (RFC 4180) with a head; keeps file names that are not UTF-8."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)

    def head(self) -> bytes:
        return self._encode(self._columns)

    def line(self, row: Row) -> bytes:
        flat = flatten(row.nested())
        return self._encode([flat.get(column, "") for column in self._columns])

    def scan(self, lines: Iterable[bytes]) -> Iterator[ScannedRow | None]:
        """As `JsonLines.scan`."""
        above, read = 0, list[bytes]()  # lines before the record, and in it
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
                partial = not read[-1].endswith(b"\n") and len(record) <= len(self._columns)
            except csv.Error:  # at the end of the file: an open quote
                record, partial = next(csv.reader(map(_text, read))) if ended else [], ended
            if not above and record != self._columns:
                partial = self.head().startswith(b"".join(read))
                if not partial:
                    raise OutputError(f"its columns are not {', '.join(self._columns)}")
            if partial and not any(map(self._may_have_row, record)):
                return
            if partial or len(record) != len(self._columns):
                raise _not_a_row(above + 1)
            failed = record[ERROR_COLUMN] != ""
            row = ScannedRow(record[0], record[ERROR_COLUMN + 1] if failed else None)
            yield row if above else None
            above += len(read)
            read.clear()

    def _may_have_row(self, value: str) -> bool:
        """Whether a stray quote may have joined a whole row to this value."""
        return value.count(",") >= len(self._columns) - 1

    def _encode(self, values: Sequence[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerow(values)  # with \r\n, so that it quotes both inside values
        return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n"


RowFormat: TypeAlias = JsonLines | Csv


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _not_a_row(line: int) -> OutputError:
    return OutputError(f"line {line} is not a row of this run")
