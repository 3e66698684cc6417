"""The cache of optimised graphs: the same answers, and never a stale or a broken one."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelFileError
from app.model import runtime
from app.model.graph_cache import GraphCache
from app.model.model import Model, load_model

NAME = "mobilenet_v1_0.25_128"


@pytest.fixture
def model(store: Path, tmp_path: Path) -> Path:
    """A model in a folder of its own."""
    return Path(shutil.copy(store / f"{NAME}.onnx", tmp_path))


def cached(folder: Path) -> list[Path]:
    return sorted((folder / ".cache").glob("*.ort"))


def answer(model: Model) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    return model.probabilities(pixels)


def test_a_second_start_uses_the_cache_and_answers_the_same(model: Path) -> None:
    graphs = GraphCache(model.parent)
    first = load_model(model, graphs=graphs)
    [kept] = cached(model.parent)
    stamp = kept.stat().st_mtime_ns
    second = load_model(model, graphs=graphs)
    assert [path.stat().st_mtime_ns for path in cached(model.parent)] == [stamp]
    assert second.card == first.card
    assert second.file_bytes == model.stat().st_size
    np.testing.assert_allclose(answer(second), answer(load_model(model)), atol=1e-6)


def test_the_second_start_does_not_read_the_graph_of_the_model_again(model: Path) -> None:
    graphs = GraphCache(model.parent)
    load_model(model, graphs=graphs)
    found = model.stat()
    model.write_bytes(bytes(found.st_size))
    os.utime(model, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert load_model(model, graphs=graphs).name == NAME
    with pytest.raises(ModelFileError):
        load_model(model)


def test_a_changed_model_makes_a_new_graph_and_drops_the_old_one(model: Path) -> None:
    graphs = GraphCache(model.parent)
    load_model(model, graphs=graphs)
    before = cached(model.parent)
    os.utime(model, ns=(1, 1))
    load_model(model, graphs=graphs)
    after = cached(model.parent)
    assert len(after) == 1
    assert after != before


def test_another_runtime_makes_a_new_graph(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_model(model, graphs=GraphCache(model.parent))
    before = cached(model.parent)
    monkeypatch.setattr(runtime, "version", lambda: "0.0.0")
    load_model(model, graphs=GraphCache(model.parent))
    assert cached(model.parent) != before


@pytest.mark.parametrize("left_bytes", [0, 100, 100_000])
def test_a_damaged_graph_is_made_anew(model: Path, left_bytes: int) -> None:
    graphs = GraphCache(model.parent)
    load_model(model, graphs=graphs)
    [kept] = cached(model.parent)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:left_bytes])
    np.testing.assert_allclose(
        answer(load_model(model, graphs=graphs)), answer(load_model(model)), atol=1e-6
    )
    assert cached(model.parent)[0].stat().st_size == len(whole)


def test_a_folder_that_cannot_be_written_costs_only_time(model: Path) -> None:
    (model.parent / ".cache").write_text("a file where the folder should be")
    assert load_model(model, graphs=GraphCache(model.parent)).name == NAME


def test_a_broken_model_is_reported_as_without_the_cache(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match=r"broken\.onnx: not a model"):
        load_model(broken, graphs=GraphCache(tmp_path))
    assert cached(tmp_path) == []


def test_models_whose_names_begin_alike_leave_each_other_their_graphs(model: Path) -> None:
    graphs = GraphCache(model.parent)
    short, long = (
        Path(shutil.copy(model, model.with_name(name))) for name in ("a.onnx", "a.b.onnx")
    )
    load_model(long, graphs=graphs)
    load_model(short, graphs=graphs)
    assert {path.name.rsplit(".", 2)[0] for path in cached(model.parent)} == {"a", "a.b"}
