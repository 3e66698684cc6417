"""`mobilenet-gateway models import`, as a stranger types it, up to the answer of the service."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.card.card import CARD_KEY, parse_card
from app.settings import Settings
from models.export.export import read_metadata
from tests.app.cli_runner import refused, run
from tests.app.sample_images import encode
from tests.models.importing.exported import KERAS, TORCH, TORCH_SCRIPT, write_labels
from tests.models.importing.inputs import LABELS, images
from tests.serving import served

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_STORE", str(tmp_path / "store"))
    write_labels(tmp_path)


def test_an_imported_model_is_served_at_its_one_size(capsys: Capture, tmp_path: Path) -> None:
    file = str(KERAS.unpack(tmp_path))
    options = (
        "--like",
        "keras",
        "--labels",
        "labels.txt",
        "--crop-fraction",
        "1",
        "--name",
        "mine",
    )
    outcome = run(capsys, "models", "import", file, *options, "--licence", "MIT")
    assert outcome.status == 0, outcome.err
    assert "mobilenet_v2, alpha 0.05" in outcome.out
    assert "store/mine.onnx (0.3 MB)" in outcome.err
    pixels = images(1)[0]
    with served(Settings(store=tmp_path / "store", default_model="mine", batch_max=4)) as client:
        answer = client.post(
            "/predict", content=encode(Image.fromarray(pixels), "PNG"), params={"top_k": 10}
        )
        asked = client.post(
            "/predict", content=encode(Image.fromarray(pixels)), params={"resolution": 128}
        )
        listed = client.get("/models").json()["models"]
    predictions = answer.json()["results"][0]["predictions"]
    found = {entry["label"]: entry["probability"] for entry in predictions}
    assert np.allclose([found[label] for label in LABELS], KERAS.recorded()[0], atol=1e-4)
    assert asked.status_code == 422
    assert asked.json()["detail"] == "resolution: mine supports 96 only, not 128."
    assert [(model["name"], model["family"], model["alpha"]) for model in listed] == [
        ("mine", "mobilenet_v2", 0.05)
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(capsys: Capture, tmp_path: Path) -> None:
    arguments = ("models", "import", str(TORCH.unpack(tmp_path)), "--like", "torchvision")
    labels = ("--labels", "labels.txt", "--json")
    dry = run(capsys, *arguments, *labels, "--dry-run")
    assert not (tmp_path / "store").exists()
    wet = run(capsys, *arguments, *labels)
    looked, written = json.loads(dry.out), json.loads(wet.out)
    assert looked.pop("file") is None
    assert Path(written.pop("file")) == tmp_path / "store" / "torch_export.onnx"
    assert looked == written
    card = parse_card(read_metadata(tmp_path / "store" / "torch_export.onnx")[CARD_KEY])
    assert written["card"] == card.model_dump(
        mode="json", exclude={"labels": True, "cost": {"layers"}}
    )
    assert {finding["what"] for finding in written["findings"]} >= {"input", "scores", "family"}


def test_scaling_can_be_given_in_numbers(capsys: Capture, tmp_path: Path) -> None:
    arguments = [
        "models",
        "import",
        str(TORCH.unpack(tmp_path)),
        "--labels",
        "labels.txt",
        "--json",
    ]
    cut = ["--resize", "shortest_edge", "--crop-fraction", "0.875", "--interpolation", "bilinear"]
    numbers = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
    assert run(capsys, *arguments, *cut, *numbers, "--name", "a").status == 0
    assert run(capsys, *arguments, "--like", "torchvision", "--name", "b").status == 0
    first, second = ((tmp_path / "store" / f"{name}.onnx").read_bytes() for name in "ab")
    assert first.replace(b'"name":"a"', b'"name":"b"') == second
    assert refused(capsys, *arguments, *cut, "--mean", "x") == (
        "--mean is 'x'; it must be one number, or three as in R,G,B."
    )


def test_a_model_that_is_there_is_replaced_by_force_only(capsys: Capture, tmp_path: Path) -> None:
    file = str(KERAS.unpack(tmp_path))
    arguments = ("models", "import", file, "--like", "keras", "--labels", "labels.txt")
    assert run(capsys, *arguments).status == 0
    message = refused(capsys, *arguments)
    assert "exists already." in message
    assert message.endswith(" --labels labels.txt --force")
    assert run(capsys, *arguments, "--name", "other").status == 0
    assert run(capsys, *arguments, "--force").status == 0


def test_the_cost_of_an_imported_model_is_reported_at_every_size(
    capsys: Capture, tmp_path: Path
) -> None:
    file = str(TORCH_SCRIPT.unpack(tmp_path))
    options = ("--like", "torchvision", "--labels", "labels.txt", "--resolution", "96")
    assert run(capsys, "models", "import", file, *options, "--name", "free").status == 0
    small = json.loads(run(capsys, "models", "cost", "free", "--json").out)
    large = json.loads(run(capsys, "models", "cost", "free", "--json", "--resolution", "192").out)
    assert large["params"] == small["params"]
    assert 3 * small["madds"] < large["madds"] < 4 * small["madds"]


def test_a_refusal_is_one_line(capsys: Capture, tmp_path: Path) -> None:
    for name, content in (("gone.onnx", None), ("junk.onnx", b"\x00" * 100)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        text = refused(capsys, "models", "import", name, "--like", "keras")
        assert "\n" not in text
        assert text.startswith(f"{name} is not")
