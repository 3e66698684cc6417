"""Teachable Machine's downloads are adopted as they are, with the answers of Keras and LiteRT."""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints.tflite.graph import read_graph
from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.judges.litert import LiteRT
from tests.models.importing.exported import run
from tests.models.importing.inputs import images

FOLDER = Path(__file__).with_name("teachable")
KERAS, FLOAT, QUANTIZED = (
    f"converted_{kind}.zip" for kind in ("keras", "tflite", "tflite_quantized")
)
LABELS = ("Flask", "Cup 2", "nothing")


def expected() -> np.ndarray:
    return np.array(json.loads((FOLDER / "answers.json").read_text()), np.float32)


def repacked(name: str, folder: Path, **changed: str) -> Path:
    """The zip with other names of its entries; an empty name leaves one out."""
    path = folder / name
    with zipfile.ZipFile(FOLDER / name) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            key = "labels" if entry.filename == "labels.txt" else "model"
            if target := changed.get(key, entry.filename):
                new.writestr(target, old.read(entry))
    return path


@pytest.mark.parametrize("name", [KERAS, FLOAT, QUANTIZED])
def test_a_download_needs_no_option(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    adoption = adopt_file(path, Choices())
    card = adoption.card
    assert (card.name, card.labels) == (name.removesuffix(".zip"), LABELS)
    assert card.origin.source == f"the file {name}"
    assert card.preprocessing.model_dump() == {
        "resize": "shortest_edge", "crop_fraction": 1.0, "interpolation": "lanczos",
    }  # fmt: skip
    assert (card.family, card.alpha, card.resolution) == ("mobilenet_v2", 0.05, 96)
    probabilities, _ = run(adoption.model)
    if name != QUANTIZED:  # rounded to 8 bits, it is held against LiteRT below
        assert abs(probabilities - expected()).max() < 1e-4
    found = {one.what: one for one in adoption.findings}
    assert found["labels"].known_by == "labels.txt in the zip"
    if name != QUANTIZED:
        assert found["scaling"].value == "(pixel / 255 - 0.5) / 0.5"
        assert found["scaling"].known_by == "Teachable Machine's sample code"
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_quantized_download_answers_as_litert(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with zipfile.ZipFile(FOLDER / QUANTIZED) as archive:
        path.write_bytes(archive.read("model.tflite"))
    judge = LiteRT(path, read_graph(path))
    probabilities, _ = run(adopt_file(FOLDER / QUANTIZED, Choices()).model)
    assert abs(probabilities - judge.scores(images())).max() < 1 / 256


def test_a_zip_that_was_made_again_in_a_folder_is_the_same(tmp_path: Path) -> None:
    path = repacked(
        FLOAT, tmp_path, model="my model/model_unquant.tflite", labels="my model/labels.txt"
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/my model/._labels.txt", b"\0")
    assert adopt_file(path, Choices()).card.labels == LABELS


def test_what_is_said_goes_before_the_download(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    said = Choices(labels=str(labels), mean=(0.0,), std=(1.0,))
    adoption = adopt_file(FOLDER / FLOAT, said, name="own")
    found = {one.what: one for one in adoption.findings}
    assert (adoption.card.name, adoption.card.labels) == ("own", ("a", "b", "c"))
    assert found["scaling"].known_by == "--mean, --std"
    assert found["labels"].known_by == "--labels"


def test_a_float_model_of_no_telling_name_is_asked_for_its_scaling(tmp_path: Path) -> None:
    path = repacked(FLOAT, tmp_path, model="model.tflite")
    with pytest.raises(Refused, match="does not state the scaling"):
        adopt_file(path, Choices())


def test_entries_never_leave_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inner))
    path = repacked(
        FLOAT, tmp_path, model="../../model_unquant.tflite", labels="/../../../labels.txt"
    )
    assert adopt_file(path, Choices()).card.labels == LABELS
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["a", "b", FLOAT]


def test_a_link_in_the_zip_is_not_followed(tmp_path: Path) -> None:
    path = repacked(FLOAT, tmp_path, model="")
    link = zipfile.ZipInfo("model_unquant.tflite")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Refused, match=r"model_unquant\.tflite is a link, not a file"):
        adopt_file(path, Choices())


@pytest.mark.parametrize(
    ("model", "megabytes", "labels"), [(101, 100, 0), (0, 1, 2)], ids=["model", "labels"]
)
def test_an_entry_that_unpacks_to_more_than_any_model_is_rejected(
    model: int, megabytes: int, labels: int, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model_unquant.tflite", bytes(model * 1_000_000))
        archive.writestr("labels.txt", bytes(labels * 1_000_000))
    with pytest.raises(Refused, match=f"is larger than {megabytes} MB"):
        adopt_file(path, Choices())


def test_a_damaged_download_is_named(tmp_path: Path) -> None:
    whole = (FOLDER / FLOAT).read_bytes()
    at = len(whole) // 2
    path = tmp_path / FLOAT
    path.write_bytes(whole[:at] + bytes(100) + whole[at + 100 :])
    with pytest.raises(Refused, match=r"tflite\.zip: model_unquant\.tflite is damaged"):
        adopt_file(path, Choices())
