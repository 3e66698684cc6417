"""Classifications as a table of pandas."""

import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from mobilenet_gateway_client import Classification, ClassScore, UnreadableImage, to_dataframe

SCORES = (ClassScore(7, "cat", 0.75), ClassScore(9, "dog", 0.125))
CAT = Classification("m", 224, SCORES, 0.5, 2.0, 3.0)
FAILED = Classification("m", 224, error=UnreadableImage("why"))


def test_pairs_become_rows_with_the_columns_of_the_command() -> None:
    pytest.importorskip("pandas", reason="needs pandas, of the development requirements")
    table = to_dataframe([(Path("a/cat.jpg"), CAT), ("b.jpg", FAILED)])
    assert list(table["file"]) == ["a/cat.jpg", "b.jpg"]
    names = ["model", "resolution", "queue_ms", "decode_ms", "inference_ms"]
    assert table.loc[0, names].tolist() == ["m", 224, 0.5, 2.0, 3.0]
    assert table.loc[0, ["class_id_1", "label_1", "probability_1", "label_2"]].tolist() == [
        7, "cat", 0.75, "dog",
    ]  # fmt: skip
    assert table.loc[1, ["error", "error_detail"]].tolist() == ["unreadable-image", "why"]
    assert table["label_1"].isna().tolist() == [False, True]


def test_a_list_has_no_files_and_heads_have_columns_of_their_own() -> None:
    pytest.importorskip("pandas", reason="needs pandas, of the development requirements")
    heads = Classification("a,b", 224, heads={"a": SCORES[:1], "b": SCORES[1:]})
    embedded = Classification("m", 224, SCORES, embedding=array("f", [0.5, 0.25]))
    table = to_dataframe([heads, embedded, (b"bytes of an image", CAT)])
    assert "file" not in table
    assert table.loc[0, ["a.label_1", "b.probability_1"]].tolist() == ["cat", 0.125]
    assert table["embedding"][1] == [0.5, 0.25]
    assert table["label_1"][1] == "cat"


def test_without_pandas_the_error_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None; "
        "from mobilenet_gateway_client import to_dataframe; to_dataframe([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "to_dataframe needs pandas." in done.stderr
    assert "`pip install './client[pandas]'`" in done.stderr
