"""`mobilenet-gateway teach` from a folder to a model that `predict` uses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.app.cli_runner import refused, run
from tests.app.heads.made import write_head
from tests.app.teaching.conftest import COLOURS, write_photo
from tests.conftest import SMALL_V1, SMALL_V2
from tests.full_disk import full_disk


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for at, (label, colour) in enumerate(COLOURS.items()):
        for number in range(4):
            write_photo(root / label / f"{number}.png", colour, seed=100 * at + number)
    (root / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return root


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    return shutil.copytree(store, tmp_path / "store")


def test_a_taught_model_classifies_photos(
    capsys: pytest.CaptureFixture[str], photos: Path, folder: Path
) -> None:
    arguments = ("teach", str(photos), "--name", "colours", "--base", SMALL_V2)
    page = folder.parent / "report.html"
    done = run(capsys, *arguments, "--store", str(folder), "--json", "--report", str(page))
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert report["base"] == SMALL_V2
    assert report["labels"] == ["blue", "green", "red"]
    assert [one["file"] for one in report["skipped"]] == ["red/broken.jpg"]

    text = page.read_text("utf-8")
    assert "<td>blue</td><td>4</td>" in text
    assert "red/broken.jpg" in text
    assert "<script" not in text

    own = [str(photos / label / "1.png") for label in COLOURS]
    answers = run(capsys, "predict", *own, "--model", "colours", "--store", str(folder), "--json")
    assert answers.status == 0, answers.err
    results = json.loads(answers.out)["results"]
    assert [one["predictions"][0]["label"] for one in results] == ["blue", "green", "red"]


def test_the_table_names_classes_and_what_was_skipped(
    capsys: pytest.CaptureFixture[str], photos: Path, folder: Path
) -> None:
    done = run(capsys, "teach", str(photos), "--name", "colours", "--store", str(folder))
    assert done.status == 0, done.err
    for text in ("blue", "green", "red", "skipped: red/broken.jpg", f"12 photos on {SMALL_V1}"):
        assert text in done.out
    assert "colours.head.npz" in done.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("../gate", "cannot be a model's name"),
        ("x" * 101, "cannot be a model's name"),
        (SMALL_V1, "The store already has a model"),
        ("auto", "The name 'auto' is reserved for the automatic choice."),
        ("old", "exists already. Choose another name, or replace it with --force."),
    ],
)
def test_a_name_that_cannot_be_is_rejected_before_any_work(
    capsys: pytest.CaptureFixture[str], photos: Path, folder: Path, name: str, text: str
) -> None:
    (folder / "old.head.npz").write_bytes(b"taught before")
    arguments = ("teach", str(photos), "--name", name, "--store", str(folder))
    assert text in refused(capsys, *arguments)
    assert (folder / "old.head.npz").read_bytes() == b"taught before"


def test_a_head_that_cannot_be_written_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], photos: Path, folder: Path
) -> None:
    head, page = folder / "x.head.npz", folder / f"{SMALL_V2}.onnx" / "page.html"
    arguments = ("teach", str(photos), "--name", "x", "--base", SMALL_V2, "--store", str(folder))
    with full_disk(10_000):
        assert refused(capsys, *arguments) == f"{head}: File too large"
    assert not list(folder.glob("*.npz")) + list(folder.glob(".x*"))
    assert refused(capsys, *arguments, "--report", str(page)) == f"{page.parent}: File exists"


def test_a_store_that_is_not_there_is_not_made(
    capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path
) -> None:
    arguments = ("teach", str(photos), "--name", "x", "--store", str(tmp_path / "typo"))
    assert "typo is not a folder" in refused(capsys, *arguments)
    assert not (tmp_path / "typo").exists()


def test_one_class_is_no_lesson(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> None:
    write_photo(tmp_path / "photos" / "only" / "1.png", (1, 2, 3), seed=1)
    arguments = ("teach", str(tmp_path / "photos"), "--name", "x", "--store", str(folder))
    assert "at least 2 are needed" in refused(capsys, *arguments)
    assert not list(folder.glob("*.npz"))


def test_a_broken_head_that_is_the_default_does_not_leave_the_answer_to_another_model(
    capsys: pytest.CaptureFixture[str],
    photos: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "gate.head.npz").write_bytes(b"damaged")
    monkeypatch.setenv("GATEWAY_DEFAULT_MODEL", "gate")
    photo = str(photos / "red" / "1.png")
    assert "gate.head.npz: not a head" in refused(capsys, "predict", photo, "--store", str(folder))


def test_a_taught_model_is_no_base(
    capsys: pytest.CaptureFixture[str], photos: Path, folder: Path
) -> None:
    write_head(folder / f"{SMALL_V2}.onnx")
    arguments = ("teach", str(photos), "--name", "x", "--base", "gate", "--store", str(folder))
    assert "gate is a taught model itself" in refused(capsys, *arguments)
