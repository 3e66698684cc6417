"""Rows as a Parquet file, which cannot be appended to: written once, from JSON Lines."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_gateway_client._command.formats import OutputError
from mobilenet_gateway_client._command.rows import EMBEDDING_COLUMNS, TIMES, flatten
from mobilenet_gateway_client._command.run_file import record_path

if TYPE_CHECKING:
    import pyarrow

ROWS_PER_GROUP = 20_000
EMBEDDINGS_PER_GROUP = 1000  # 40 MB in memory


def check_pyarrow() -> None:
    """Check that Parquet can be written.

    Raises:
        OutputError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401  checks that it is installed
    except ModuleNotFoundError as error:
        raise OutputError(
            "Parquet needs pyarrow. Install it in a checkout with "
            "`pip install './client[parquet]'`, or write .csv or .jsonl."
        ) from error


def check_table(lines: Path, path: Path, columns: Sequence[str]) -> None:
    """Check that an existing table may be replaced by one of these lines.

    Raises:
        OutputError: it belongs to another run, or its columns were changed.
    """
    import pyarrow.parquet

    if not path.exists() or not path.stat().st_size:
        return
    try:
        table = pyarrow.parquet.read_metadata(path)
        # an empty folder leaves a table without rows, and no record
        known = record_path(lines).exists() or not table.num_rows
        ours = known and table.schema.to_arrow_schema().names == columns
    except pyarrow.ArrowInvalid:
        ours = False
    if not ours:
        raise OutputError(
            f"{path} exists and does not match this run. Name another file or remove it."
        )


def write_parquet(lines: Path, path: Path, columns: Sequence[str]) -> None:
    """Write the rows of a JSON Lines file as a table; replaces an older one atomically.

    Raises:
        OSError: it cannot be written, for example because the disk is full. The older one stays.
    """
    import pyarrow.parquet

    schema = _schema(columns)
    group = EMBEDDINGS_PER_GROUP if columns == EMBEDDING_COLUMNS else ROWS_PER_GROUP
    partial = path.with_name(f".{path.name}.partial")
    try:
        with (
            lines.open(encoding="utf-8") as file,
            pyarrow.parquet.ParquetWriter(partial, schema) as writer,
        ):
            while rows := [json.loads(line) for line in islice(file, group)]:
                table = [_clean(flatten(row)) for row in rows]
                writer.write_table(pyarrow.Table.from_pylist(table, schema))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _schema(columns: Sequence[str]) -> "pyarrow.Schema":
    import pyarrow

    kinds = {
        "resolution": pyarrow.int32(),
        "class_id": pyarrow.int32(),
        "probability": pyarrow.float64(),
        "embedding": pyarrow.list_(pyarrow.float32()),
        **dict.fromkeys(TIMES, pyarrow.float64()),
    }
    return pyarrow.schema(
        [(name, kinds.get(name.rstrip("_0123456789"), pyarrow.string())) for name in columns]
    )


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """Escape the bytes of file names that are not UTF-8, which the strings of Parquet are."""
    return {
        # error details have file names too
        key: value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if isinstance(value, str)
        else value
        for key, value in row.items()
    }
