"""A head's answers by hand, and its file."""

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import CardError, ModelFileError
from app.heads.card import head_card
from app.heads.head import Head
from app.heads.head_file import MAX_FILE_BYTES, pack_head, read_head
from app.model.model import load_model
from tests.exports import export_random

WIDTH = 1280


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    card = load_model(export_random(tmp_path_factory.mktemp("store"))).card
    random = np.random.default_rng(0)
    references = np.abs(random.normal(size=(5, WIDTH))).astype(np.float32)
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    return Head(
        card=head_card(card, "0" * 64, "gate", ("closed", "open"), references),
        weights=random.normal(size=(2, WIDTH)).astype(np.float32),
        bias=np.array([0.5, -0.5], np.float32),
        references=references,
        threshold=0.7,
    )


def test_probabilities_by_hand(head: Head) -> None:
    """Logits 0 and ln 3 give 1/4 and 3/4; at the threshold half of it is unknown."""
    axis = np.eye(WIDTH, dtype=np.float32)
    weights = np.zeros((2, WIDTH), np.float32)
    weights[1, 0] = np.log(3) / 0.8  # the first component of the image below is 0.8
    image = 5 * (0.8 * axis[0] + 0.6 * axis[1])
    known = Head(head.card, weights, np.zeros(2, np.float32), axis[:1], threshold=0.5)
    at_the_edge = Head(head.card, weights, np.zeros(2, np.float32), axis[:1], threshold=0.8)
    far = Head(head.card, weights, np.zeros(2, np.float32), axis[:1], threshold=0.9)
    assert known.probabilities(image[np.newaxis])[0] == pytest.approx([0.25, 0.75, 0], abs=1e-6)
    edge = at_the_edge.probabilities(image[np.newaxis])[0]
    assert edge == pytest.approx([0.125, 0.375, 0.5], abs=1e-4)
    assert far.probabilities(image[np.newaxis])[0] == pytest.approx([0, 0, 1], abs=1e-4)


def test_without_references_nothing_is_unknown(head: Head) -> None:
    plain = Head(head.card, head.weights, head.bias, head.references[:0], -1)
    assert plain.probabilities(np.ones((3, WIDTH), np.float32)).shape == (3, 2)


def test_file_keeps_the_answers(head: Head, tmp_path: Path) -> None:
    path = tmp_path / "gate.head.npz"
    path.write_bytes(pack_head(head, '{"a": "é"}'))
    read, report = read_head(path)
    assert read.card == head.card
    assert report == '{"a": "é"}'
    images = np.abs(np.random.default_rng(1).normal(size=(20, WIDTH))).astype(np.float32)
    assert (read.logits(images) == head.logits(images)).all()
    assert read.references @ head.references[0] == pytest.approx(
        head.references @ head.references[0], abs=1e-3
    )


def _entries(head: Head) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(pack_head(head, "{}"))) as archive:
        return dict(archive)


def _written(path: Path, entries: dict[str, np.ndarray]) -> Path:
    with path.open("wb") as file:
        np.savez(file, **entries)  # type: ignore[arg-type]  # taken for the flag
    return path


def test_a_pickle_is_never_loaded(head: Head, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "exploded"), "w"))

    entries = _entries(head)
    entries["weights"] = np.array([Bomb()], object)
    path = _written(tmp_path / "evil.head.npz", entries)
    with pytest.raises(ModelFileError, match="not a head"):
        read_head(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError, match="not a head"):
        read_head(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("format", np.int64(2), "its format is 2; this version reads 1"),
        ("weights", np.zeros((3, WIDTH), np.float32), "do not fit together"),
        ("weights", np.full((2, WIDTH), np.nan, np.float32), "do not fit together"),
        ("weights", np.zeros((2, WIDTH)), "do not fit together"),
        ("weights", np.full((2, WIDTH), 3e38, np.float32), "do not fit together"),
        ("bias", np.full(2, np.nan, np.float32), "do not fit together"),
        ("references", np.zeros((5, 7), np.int8), "do not fit together"),
        ("references", np.zeros((5, WIDTH), [("a", "i1")]), "do not fit together"),
        ("references", np.array([["text"]]), "do not fit together"),
        ("reference_scale", np.float32(np.nan), "do not fit together"),
        # Of this shape, the product with the references would take 27 GB.
        ("reference_scale", np.ones((2**20, 1, 1), np.float32), "do not fit together"),
        ("threshold", np.float32(np.nan), "do not fit together"),
        ("threshold", np.zeros(3, np.float32), "do not fit together"),
        ("threshold", np.array("text"), "do not fit together"),
        ("format", np.ones(2), "its format is"),
        ("references", np.zeros((0, WIDTH), np.int8), "3 labels for 2 classes"),
        ("card", np.frombuffer(b"{}", np.uint8), "its model card is not valid"),
        ("card", np.zeros((2, 2)), "a text of the head is not UTF-8"),
    ],
)
def test_what_does_not_fit_is_rejected_by_name(
    head: Head, tmp_path: Path, name: str, value: np.ndarray, text: str
) -> None:
    path = _written(tmp_path / "gate.head.npz", _entries(head) | {name: value})
    with pytest.raises((ModelFileError, CardError), match=text):
        read_head(path)


def test_two_classes_of_one_name_are_rejected(head: Head, tmp_path: Path) -> None:
    for labels in (("open", "open", "unknown"), ("unknown", "open", "unknown")):
        card = head.card.model_copy(update={"labels": labels})
        path = tmp_path / "gate.head.npz"
        path.write_bytes(pack_head(replace(head, card=card), "{}"))
        with pytest.raises(CardError, match=f"has the label '{labels[0]}' more than once"):
            read_head(path)


def test_a_head_without_classes_is_rejected(head: Head, tmp_path: Path) -> None:
    card = head.card.model_copy(update={"labels": ("unknown",)})
    empty = Head(card, head.weights[:0], head.bias[:0], head.references, head.threshold)
    path = tmp_path / "gate.head.npz"
    path.write_bytes(pack_head(empty, "{}"))
    with pytest.raises(ModelFileError, match="do not fit together"):
        read_head(path)


def test_an_entry_that_is_no_array_is_rejected(head: Head, tmp_path: Path) -> None:
    """NumPy returns the bytes of an entry that does not start like an array."""
    path = tmp_path / "gate.head.npz"
    with zipfile.ZipFile(io.BytesIO(pack_head(head, "{}"))) as packed:
        parts = {entry: packed.read(entry) for entry in packed.namelist()}
    for name in ("bias", "card", "format", "references", "threshold", "weights"):
        with zipfile.ZipFile(path, "w") as archive:
            for entry, data in parts.items():
                archive.writestr(entry, b"hello" if entry == f"{name}.npy" else data)
        with pytest.raises(ModelFileError):
            read_head(path)


def test_missing_entries_damage_and_size_are_rejected(head: Head, tmp_path: Path) -> None:
    entries = _entries(head)
    del entries["bias"]
    with pytest.raises(ModelFileError, match="it has the entries"):
        read_head(_written(tmp_path / "a.head.npz", entries))
    packed = pack_head(head, "{}")
    half = tmp_path / "b.head.npz"
    half.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ModelFileError, match="not a head"):
        read_head(half)
    zeros = np.zeros(MAX_FILE_BYTES, np.uint8)
    with half.open("wb") as file:
        np.savez_compressed(file, zeros=zeros)  # 65 kB that would unpack to 64 MB
    with pytest.raises(ModelFileError, match="more than"):
        read_head(half)
