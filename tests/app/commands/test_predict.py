"""`mobilenet-gateway predict`: the answer of each file, and how errors end."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.commands.predict import TABLE_FILES
from models.export.export import export, untrained
from tests.app.cli_runner import refused, run
from tests.app.model.stored_forms import FLOAT, INT8, put_float, put_int8
from tests.app.sample_images import cat, chelsea, encode, noise
from tests.conftest import ROOT, SMALL_V1, SMALL_V2
from tests.exports import random_recipe

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("small_store")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(noise()))
    return str(path)


def test_a_photo_is_classified_in_a_table(capsys: Capture, photo: str) -> None:
    outcome = run(capsys, "predict", photo, "--top-k", "2")
    assert outcome.status == 0
    assert f"{SMALL_V1} at 128" in outcome.out
    [row] = [line for line in outcome.out.splitlines() if "photo.jpg" in line]
    assert row.count(" ms") == 2
    assert outcome.err == ""


def test_a_cat_is_a_cat_without_a_server(capsys: Capture, tmp_path: Path, real_store: Path) -> None:
    path = tmp_path / "chelsea.png"
    path.write_bytes(encode(chelsea(), "PNG"))
    outcome = run(
        capsys, "predict", str(path), "--store", str(real_store), "--model", "mobilenet_v2_1.0_224"
    )
    assert "Egyptian cat" in outcome.out


def test_json_has_the_answer_of_each_file(capsys: Capture, photo: str) -> None:
    outcome = run(
        capsys, "predict", photo, photo, "--json", "--model", SMALL_V2, "--resolution", "160"
    )
    answer = json.loads(outcome.out)
    assert (answer["model"], answer["resolution"]) == (SMALL_V2, 160)
    first, second = answer["results"]
    assert first["file"] == photo
    assert len(first["predictions"]) == 5
    assert first["predictions"] == second["predictions"]
    assert first.keys() == {"file", "predictions", "queue_ms", "decode_ms", "inference_ms"}


def test_explanations_become_pictures(capsys: Capture, photo: str, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    outcome = run(capsys, "predict", photo, photo, "--explain", str(folder), "--json")
    first, second = json.loads(outcome.out)["results"]
    assert first["explanation"]["overlay"] == str(folder / "photo.jpg.png")
    assert second["explanation"]["overlay"] == str(folder / "photo.jpg-2.png")
    for path in folder.iterdir():
        with Image.open(path) as picture:
            assert picture.size == (128, 128)
    (tmp_path / "file").write_text("")
    outcome = run(capsys, "predict", photo, "--explain", str(tmp_path / "file"))
    assert outcome.status != 0
    assert "--explain" in outcome.err


def test_many_files_are_classified_at_once_and_answered_in_order(
    capsys: Capture, photo: str, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(TABLE_FILES + 3):
        os.link(photo, folder / f"{number:02}.jpg")
    (folder / "07.jpg").unlink()
    (folder / "07.jpg").write_text("no image")
    outcome = run(capsys, "predict", str(folder), "--workers", "3", "--json")
    assert outcome.status == 1
    found = json.loads(outcome.out)
    assert (found["model"], found["resolution"]) == (SMALL_V1, 128)
    names = [Path(result["file"]).name for result in found["results"]]
    assert names == [f"{number:02}.jpg" for number in range(TABLE_FILES + 3)]
    assert [name for name, one in zip(names, found["results"], strict=True) if "error" in one] == [
        "07.jpg"
    ]
    tables = run(capsys, "predict", str(folder), "--top-k", "1")
    assert tables.out.count(f"{SMALL_V1} at 128") == 1
    assert tables.out.count("probability") == 2
    assert [name for name in names if name not in tables.out] == []
    assert "'--workers'" in run(capsys, "predict", photo, "--workers", "0").err


def test_a_file_that_fails_does_not_keep_the_others_from_their_answer(
    capsys: Capture, photo: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("hello")
    empty = tmp_path / "empty"
    empty.mkdir()
    files = [str(tmp_path / "gone.jpg"), photo, str(tmp_path / "notes.jpg"), str(empty)]
    outcome = run(capsys, "predict", *files, "--json")
    assert outcome.status == 1
    results = json.loads(outcome.out)["results"]
    assert [result["file"] for result in results] == files
    assert ["error" in result for result in results] == [True, False, True, True]
    assert results[0]["error"] == "No such file or directory"
    assert "JPEG, PNG" in results[2]["error"]
    assert results[3]["error"].startswith("The folder has no images.")
    table = run(capsys, "predict", *files)
    assert table.status == 1
    assert "gone.jpg" in table.out
    assert "No such file" in table.out


def test_a_folder_stands_for_its_images_and_on_request_for_those_below_it(
    capsys: Capture, photo: str, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for name in ("b.JPG", "a.jpeg", ".hidden.jpg", "below/c.jpg", ".trash/d.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(photo).read_bytes())
    (folder / "notes.txt").write_text("no image")
    for options, expected in (
        ((), ["a.jpeg", "b.JPG"]),
        (("--recursive",), ["a.jpeg", "b.JPG", "below/c.jpg"]),
    ):
        outcome = run(capsys, "predict", photo, str(folder), "--json", *options)
        assert outcome.status == 0
        files = [result["file"] for result in json.loads(outcome.out)["results"]]
        assert files == [photo, *(str(folder / name) for name in expected)]


@pytest.mark.parametrize("name", ["a[/red].jpg", "[bold]b.jpg"])
def test_a_strange_file_name_is_shown_as_it_is(capsys: Capture, tmp_path: Path, name: str) -> None:
    (tmp_path / Path(name).name).write_text("hello")
    assert Path(name).name in run(capsys, "predict", str(tmp_path / Path(name).name)).out


def test_a_name_of_a_file_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = run(capsys, "predict", str(tmp_path / "\x1b]0;title\x07\x1b[2J.jpg")).out
    assert "\\x1b]0;title\\x07\\x1b[2J.jpg" in shown
    assert "\x1b" not in shown


def test_without_the_default_model_the_first_answers_as_in_a_service(
    capsys: Capture, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DEFAULT_MODEL", "not-there")
    assert f"{SMALL_V1} at 128" in run(capsys, "predict", photo).out
    monkeypatch.setenv("GATEWAY_MODELS", SMALL_V2)
    assert f"{SMALL_V2} at" in run(capsys, "predict", photo).out


@pytest.mark.parametrize(("obstacle", "answers"), [(None, INT8), ("this CPU is old", FLOAT)])
def test_without_a_named_default_the_better_form_answers_as_in_a_service(
    capsys: Capture,
    photo: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    obstacle: str | None,
    answers: str,
) -> None:
    monkeypatch.setattr("app.inference.local_model.int8_obstacle", lambda: obstacle)
    monkeypatch.delenv("GATEWAY_DEFAULT_MODEL")
    put_int8(tmp_path)
    put_float(tmp_path)
    assert f"{answers} at 96" in run(capsys, "predict", photo, "--store", str(tmp_path)).out


def test_what_is_no_file_or_too_large_is_named_and_not_read(
    capsys: Capture, photo: str, tmp_path: Path
) -> None:
    pipe, large = tmp_path / "pipe.jpg", tmp_path / "large.jpg"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(40_000_000_000)
    outcome = run(capsys, "predict", str(pipe), photo, str(large), "--json")
    errors = [result.get("error") for result in json.loads(outcome.out)["results"]]
    assert errors[0].startswith("This is not a file.")
    assert errors[1] is None
    assert errors[2] == "The file has 40000000000 bytes; max_body_bytes is 25165824."


def test_what_a_service_leaves_to_its_helper_process_is_classified(
    capsys: Capture, photo: str, tmp_path: Path
) -> None:
    files = [photo]
    for name in ("GIF", "TIFF", "AVIF"):
        files.append(str(tmp_path / f"cat.{name}"))
        Path(files[-1]).write_bytes(encode(cat(64, 48), name))
    outcome = run(capsys, "predict", *files, "--json")
    assert [len(result["predictions"]) for result in json.loads(outcome.out)["results"]] == [5] * 4


def test_decoders_write_nothing_to_the_terminal(store: Path) -> None:
    noisy = ROOT / "tests/robustness/image_cases/tiff_tags_flood_log.tif"
    command = [sys.executable, "-c", "from app.commands.main import main; main()", "predict"]
    done = subprocess.run(
        [*command, str(noisy), "--store", str(store)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stderr == ""


def test_labels_are_shown_as_they_are(capsys: Capture, photo: str, tmp_path: Path) -> None:
    recipe = random_recipe("mobilenet_v1", 0.25, 128)
    odd = replace(recipe, labels=tuple(f"[/b]:smile:{index}" for index in range(1000)))
    export(odd, untrained(odd.network()), "fp32", tmp_path)
    assert "[/b]:smile:" in run(capsys, "predict", photo, "--store", str(tmp_path)).out


def test_an_unknown_model_is_refused_with_those_there_are(capsys: Capture, photo: str) -> None:
    text = refused(capsys, "predict", photo, "--model", "mobilenet_v3")
    assert text.endswith(f"has no mobilenet_v3. It has: {SMALL_V1}, {SMALL_V2}.")


def test_a_missing_store_is_refused_with_what_to_do(capsys: Capture, photo: str) -> None:
    text = refused(capsys, "predict", photo, "--store", "/nowhere")
    assert text.startswith("The store /nowhere is not a folder. Fetch the default model with ")


def test_a_resolution_that_the_model_does_not_take_is_refused(capsys: Capture, photo: str) -> None:
    text = refused(capsys, "predict", photo, "--resolution", "100")
    assert "96 to 512 in steps of 32, not 100" in text


def test_an_unknown_variable_is_refused(
    capsys: Capture, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_PROT", "1")
    text = refused(capsys, "predict", photo)
    assert text == "Unknown setting GATEWAY_PROT. Did you mean GATEWAY_PORT?"


def test_classifying_files_loads_no_web_framework(photo: str) -> None:
    """It took 0.15 s and 8 MB each time that the command was used."""
    code = (
        "import atexit, sys; from app.commands.cli import main;"
        "sys.argv[1:] = ['predict', sys.argv[1]];"
        "atexit.register(lambda: print(*sys.modules)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, photo], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "app.inference.classify" in loaded
    assert not {"fastapi", "starlette", "uvicorn"} & loaded


def test_auto_is_for_a_service(capsys: Capture) -> None:
    assert "name a model with --model" in refused(capsys, "predict", "a.jpg", "--model", "auto")
