"""The Parquet file of a run."""

import json
from pathlib import Path

import pytest
from mobilenet_gateway_client._command.parquet import ROWS_PER_GROUP, write_parquet
from mobilenet_gateway_client._command.rows import columns

from tests.full_disk import full_disk

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")


def lines(folder: Path, rows: int) -> Path:
    path = folder / "rows.jsonl"
    error = {"type": "not-an-image", "detail": "why"}
    path.write_text(
        "".join(json.dumps({"file": f"{n}.jpg", "error": error}) + "\n" for n in range(rows))
    )
    return path


@pytest.mark.parametrize("rows", [0, 1, ROWS_PER_GROUP, ROWS_PER_GROUP + 1])
def test_every_row_is_in_the_table(rows: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(lines(tmp_path, rows), path, columns(1))
    assert parquet.read_table(path).column("file").to_pylist() == [f"{n}.jpg" for n in range(rows)]


def test_a_full_disk_leaves_the_older_table_and_nothing_else(tmp_path: Path) -> None:
    rows, path = lines(tmp_path, 5000), tmp_path / "rows.parquet"
    path.write_bytes(b"older")
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_parquet(rows, path, columns(1))
    assert path.read_bytes() == b"older"
    assert sorted(tmp_path.iterdir()) == [rows, path]
