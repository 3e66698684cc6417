"""The notebook of examples/: all its cells, in their order, against a running service."""

import ast
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import ROOT, SMALL_V1, SMALL_V2

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return found


def shown(cell: dict[str, Any], names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does; the value of its last expression, which would be shown."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, cell["id"], "exec"), names)  # noqa: S102  # the repository's own text
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)  # noqa: S307  # as above


@pytest.fixture
def results(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What each cell shows, by its id."""
    pytest.importorskip("pandas", reason="needs pandas: pip install './client[pandas]'")
    matplotlib = pytest.importorskip(
        "matplotlib", reason="needs matplotlib: pip install matplotlib"
    )
    matplotlib.use("Agg")
    (tmp_path / "cat.jpg").write_bytes(encode(chelsea()))
    (tmp_path / "noise.png").write_bytes(encode(noise(), "PNG"))
    (tmp_path / "torn.jpg").write_bytes(b"no image")
    monkeypatch.setenv("URL", str(client.base_url))
    monkeypatch.setenv("PHOTOS", str(tmp_path))
    names: dict[str, Any] = {}
    found = {cell["id"]: shown(cell, names) for cell in cells() if cell["cell_type"] == "code"}
    names["plt"].close("all")
    return found


def test_every_cell_runs_and_shows_what_it_is_for(results: dict[str, Any], tmp_path: Path) -> None:
    assert results["setup"] == (SMALL_V1, 3)
    table = results["table"]
    files = [str(tmp_path / name) for name in ("cat.jpg", "noise.png", "torn.jpg")]
    assert table["file"].tolist() == files
    assert table["label_1"].isna().tolist() == [False, False, True]
    bars = [text.get_text() for text in results["plot"].axes[0].get_yticklabels()]
    assert {text.rpartition(", ")[2] for text in bars} == {"cat.jpg", "noise.png"}
    [overlay] = results["why"].axes[0].images
    assert overlay.get_size()[0] == overlay.get_size()[1]  # the square that the model saw
    [grid] = results["why"].axes[1].images
    assert grid.get_size() == (4, 4)  # of 128 pixels
    cost = results["cost"]
    assert cost.index.tolist() == [SMALL_V1, SMALL_V2]
    assert cost["million multiply-adds"].tolist()[0] == pytest.approx(14, abs=0.5)


def test_the_notebook_is_small_and_has_no_outputs() -> None:
    assert NOTEBOOK.stat().st_size < 10_000
    for cell in cells():
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
