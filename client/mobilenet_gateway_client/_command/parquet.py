"""A table of rows in Parquet, which cannot be appended to: written once, from lines of JSON."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_gateway_client._command.rows import TIMES, columns, flatten
from mobilenet_gateway_client._command.run_file import OutputError, note_path

if TYPE_CHECKING:
    import pyarrow

ROWS_PER_GROUP = 20_000


def check_pyarrow() -> None:
    """Find out early whether Parquet can be written.

    Raises:
        OutputError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401  only whether it is there
    except ModuleNotFoundError as error:
        raise OutputError(
            "Parquet needs pyarrow: `pip install './client[parquet]'` in a checkout brings it; "
            "or write .csv or .jsonl"
        ) from error


def check_table(lines: Path, path: Path, top_k: int) -> None:
    """Find out whether a table that is there may be replaced by one of these lines.

    Raises:
        OutputError: it is not of this run, or was given other columns since.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.exists() or not path.stat().st_size:
        return
    try:
        table = pyarrow.parquet.read_metadata(path)
        # an empty folder leaves a table without rows, and no note
        known = note_path(lines).exists() or not table.num_rows
        ours = known and table.schema.names == columns(top_k)
    except pyarrow.ArrowInvalid:
        ours = False
    if not ours:
        raise OutputError(
            f"{path} is there already and is not as this run writes it; "
            "name another file or remove it"
        )


def write_parquet(lines: Path, path: Path, top_k: int) -> None:
    """Write the rows of a JSON Lines file as a table; an older one is replaced at once.

    Raises:
        OSError: it cannot be written, such as on a full disk; nothing of it is left.
    """
    import pyarrow
    import pyarrow.parquet

    schema = _schema(top_k)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with (
            lines.open(encoding="utf-8") as file,
            pyarrow.parquet.ParquetWriter(partial, schema) as writer,
        ):
            while rows := [json.loads(line) for line in islice(file, ROWS_PER_GROUP)]:
                table = [_clean(flatten(row)) for row in rows]
                writer.write_table(pyarrow.Table.from_pylist(table, schema))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _schema(top_k: int) -> "pyarrow.Schema":
    import pyarrow

    def kind(column: str) -> "pyarrow.DataType":
        if column == "resolution" or column.startswith("class_id"):
            return pyarrow.int32()
        return (
            pyarrow.float64()
            if column in TIMES or column.startswith("probability")
            else pyarrow.string()
        )

    return pyarrow.schema([(column, kind(column)) for column in columns(top_k)])


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet's strings are UTF-8: of file names that are not, the odd bytes become escapes."""
    return {
        # a name stands in the detail of an error too
        key: value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if isinstance(value, str)
        else value
        for key, value in row.items()
    }
