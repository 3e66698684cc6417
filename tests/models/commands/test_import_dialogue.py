"""What `mobilenet-gateway models import` asks, and the command line that answers it."""

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

from tests.app.cli_runner import refused, run
from tests.models.importing.exported import KERAS, TORCH, write_labels
from tests.models.importing.graphs import saved, small
from tests.models.importing.inputs import LABELS, images

Capture = pytest.CaptureFixture[str]
PROGRAM = "mobilenet-gateway "
UNIT = "--mean 0 --std 1"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_STORE", str(tmp_path / "store"))


def test_the_commands_of_the_message_run(capsys: Capture, tmp_path: Path) -> None:
    """One for each scaling; the path has spaces and the options that were given are kept."""
    path = saved(small().model("scores"), tmp_path)
    message = refused(capsys, "models", "import", str(path), "--name", "own", "--licence", "MIT 2")
    write_labels(tmp_path)
    commands = [line.strip() for line in message.splitlines() if line.startswith(f"  {PROGRAM}")]
    assert len(commands) == 4
    assert UNIT in commands[2]
    for command in commands:
        arguments = shlex.split(command.removeprefix(PROGRAM))
        assert arguments[2] == str(path)
        outcome = run(capsys, *arguments, "--force")
        assert outcome.status == 0, outcome.err
    shown = json.loads(run(capsys, "models", "show", "own", "--json").out)
    assert shown["origin"]["licence"] == "MIT 2"


def test_a_program_reads_what_is_missing(capsys: Capture, tmp_path: Path) -> None:
    path = str(TORCH.unpack(tmp_path))
    outcome = run(capsys, "models", "import", path, "--json", "--mean", "0.4", "--rgb")
    assert (outcome.status, outcome.err) == (1, "")
    told = json.loads(outcome.out)
    assert [question["option"] for question in told["missing"]] == ["--labels", "--mean, --std"]
    assert all(question["why"] and question["choices"] for question in told["missing"])
    assert {"--mean 0.5 --std 0.5", UNIT} < set(told["missing"][1]["choices"])
    write_labels(tmp_path)
    arguments = shlex.split(told["command"].removeprefix(PROGRAM))
    assert arguments.count("--mean") == 1
    assert "--rgb" in arguments
    done = run(capsys, *arguments, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["card"]["name"] == "torch_export"
    assert not (tmp_path / "gone").exists()


def test_nothing_is_written_while_something_is_missing(capsys: Capture, tmp_path: Path) -> None:
    refused(capsys, "models", "import", str(KERAS.unpack(tmp_path)))
    assert not (tmp_path / "store").exists()


def labelled(folder: Path, count: int) -> Path:
    for at, image in enumerate(images(count)):
        place = folder / "photos" / LABELS[at % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{at}.png")
    return folder / "photos"


def test_the_accuracy_of_every_scaling_is_printed(capsys: Capture, tmp_path: Path) -> None:
    """Few photos with any labels: the table is printed, and the question remains."""
    photos, labels = str(labelled(tmp_path, 4)), str(write_labels(tmp_path))
    arguments = ("models", "import", str(TORCH.unpack(tmp_path)), "--labels", labels)
    outcome = run(capsys, *arguments, "--photos", photos)
    assert outcome.status == 1
    assert outcome.out.startswith("tried on 4 photos")
    assert len(outcome.out.splitlines()) == 9
    assert "0 ... 1, pixel / 255, BGR" in outcome.out
    assert "photos: -1 ... 1; red, green, blue" in outcome.err
    told = json.loads(run(capsys, *arguments, "--photos", photos, "--json").out)
    assert [question["option"] for question in told["missing"]] == ["--mean, --std"]
    assert len(told["photos"]) == 8
    done = run(capsys, *shlex.split(told["command"].removeprefix(PROGRAM)), "--json")
    assert done.status == 0, done.err
    assert [row["arguments"] for row in json.loads(done.out)["photos"]] == [
        told["missing"][0]["choices"][0]
    ]
