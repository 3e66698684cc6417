"""A head as one file answers as the served one, in onnxruntime alone and after an import."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.heads.head import Head
from app.heads.head_file import read_head
from app.model.model import load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from models.export.standalone_head import export_head
from tests.app.cli_runner import refused, run
from tests.app.heads.made import write_head
from tests.conftest import SMALL_V1, SMALL_V2

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(store, tmp_path_factory.mktemp("heads") / "store")
    write_head(folder / f"{SMALL_V2}.onnx")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> np.ndarray:
    """What the service computes: probabilities and embedding, side by side."""
    gate = ReloadableStore(Selection(folder), load_model).get("gate")
    return gate.run(("probabilities", "embedding"), IMAGES)


def test_the_file_answers_as_the_served_head(
    folder: Path, served: np.ndarray, tmp_path: Path
) -> None:
    head, _ = read_head(folder / "gate.head.npz")
    path = export_head(head, folder / f"{SMALL_V2}.onnx", tmp_path)
    session = onnxruntime.InferenceSession(path)
    assert [output.name for output in session.get_outputs()] == [
        "probabilities", "embedding", "features", "logits",
    ]  # fmt: skip
    probabilities, embedding = session.run(["probabilities", "embedding"], {"image": IMAGES})
    assert probabilities == pytest.approx(served[:, :3], abs=1e-5)
    assert embedding == pytest.approx(served[:, 3:], abs=1e-5)


def test_a_head_that_rejects_nothing_has_its_classes_only(folder: Path, tmp_path: Path) -> None:
    head, _ = read_head(folder / "gate.head.npz")
    card = head.card.model_copy(update={"labels": ("closed", "open")})
    plain = Head(card, head.weights, head.bias, head.references[:0], -1)
    path = export_head(plain, folder / f"{SMALL_V2}.onnx", tmp_path)
    model = load_model(path)
    embeddings = model.embedding(IMAGES)
    assert model.probabilities(IMAGES) == pytest.approx(plain.probabilities(embeddings), abs=1e-5)


def test_the_command_writes_a_file_that_another_store_serves(
    capsys: pytest.CaptureFixture[str], folder: Path, served: np.ndarray, tmp_path: Path
) -> None:
    done = run(
        capsys, "models", "export", "gate", "--store", str(folder), "--output", str(tmp_path)
    )
    assert done.status == 0, done.err
    gate = ReloadableStore(Selection(tmp_path), load_model).get()
    assert gate.name == "gate"
    assert gate.card.labels == ("closed", "open", "unknown")
    assert gate.card.base_sha256 is None
    assert gate.probabilities(IMAGES) == pytest.approx(served[:, :3], abs=1e-5)


def test_what_is_no_head_is_rejected_by_name(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    text = refused(capsys, "models", "export", "missing", "--store", str(folder))
    assert "missing.head.npz" in text
    shutil.copy(folder / "gate.head.npz", tmp_path)
    shutil.copy(folder / f"{SMALL_V1}.onnx", tmp_path)
    text = refused(capsys, "models", "export", "gate", "--store", str(tmp_path))
    assert f"its base {SMALL_V2} is not" in text
