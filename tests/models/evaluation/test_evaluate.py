"""`models evaluate`: accuracy and speed of models on labelled photos."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.model.model import load_model
from app.settings import Settings
from models.evaluation.evaluate import parse_preprocessing
from tests.app.cli_runner import refused, run
from tests.conftest import REAL_MODEL, SMALL_V1, SMALL_V2
from tests.full_disk import full_disk
from tests.serving import served

Capture = pytest.CaptureFixture[str]
COLUMNS = [
    "model", "precision", "resolution", "decode", "preprocessing", "images", "damaged",
    "top1", "top1_low", "top1_high", "top5", "top5_low", "top5_high",
    "calibration_error", "top1_agreement", "images_per_s", "decode_ms", "inference_ms", "madds",
]  # fmt: skip
OWN = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")


@pytest.fixture(scope="module")
def photos(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images in folders named by the top-1 class of the small V1, one in a wrong folder."""
    folder = tmp_path_factory.mktemp("photos")
    model = load_model(store / f"{SMALL_V1}.onnx")
    random = np.random.default_rng(3)
    for index in range(7):
        pixels = random.integers(0, 256, (128, 128, 3), np.uint8)
        # a margin, so that the model sees exactly the square in the middle
        framed = np.pad(pixels, ((9, 9), (9, 9), (0, 0)))
        first = int(model.probabilities(pixels[np.newaxis])[0].argmax())
        place = folder / str(first if index else (first + 500) % 1000)
        place.mkdir(exist_ok=True)
        Image.fromarray(framed).save(place / f"{index}.png")
    return folder


def evaluated(capsys: Capture, store: Path, *arguments: str) -> Any:
    outcome = run(capsys, "models", "evaluate", *arguments, "--store", str(store), "--json")
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def test_the_accuracy_is_that_of_the_answers(capsys: Capture, store: Path, photos: Path) -> None:
    [found] = evaluated(capsys, store, SMALL_V1, str(photos))
    assert (found["images"], found["damaged"]) == (7, 0)
    assert found["top1"] == pytest.approx(100 * 6 / 7, abs=0.01)
    assert found["top1_low"] < found["top1"] < found["top1_high"]
    assert found["top5"] >= found["top1"]
    assert found["top1_agreement"] == 100
    assert found["images_per_s"] > 0
    assert found["madds"] == load_model(store / f"{SMALL_V1}.onnx").card.cost.madds


def test_models_resolutions_decodings_and_crops_are_compared_at_once(
    capsys: Capture, store: Path, photos: Path, tmp_path: Path
) -> None:
    rows_file, plot = tmp_path / "rows.csv", tmp_path / "plot.png"
    found = evaluated(
        capsys, store, SMALL_V1, SMALL_V2, str(photos), "--resolution", "96,128", "--decode",
        "full,reduced", "--preprocessing", "own,central_crop:lanczos", "--csv", str(rows_file),
        "--plot", str(plot),
    )  # fmt: skip
    assert len(found) == 16
    keys = ("model", "resolution", "decode", "preprocessing")
    assert len({tuple(one[key] for key in keys) for one in found}) == 16
    assert {one["preprocessing"] for one in found} == {
        "shortest_edge:bilinear:0.875",
        "central_crop:lanczos:0.875",
    }
    by_side = {one["resolution"]: one["madds"] for one in found if one["model"] == SMALL_V2}
    assert by_side[128] > by_side[96]
    with rows_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(found[0]) == COLUMNS
    assert [float(row["top1"]) for row in rows] == [one["top1"] for one in found]
    with Image.open(plot) as drawn:
        assert drawn.format == "PNG"
        assert len(np.unique(np.asarray(drawn.convert("L")))) > 10


def test_the_table_leaves_out_what_is_the_same_in_all_rows(
    capsys: Capture, store: Path, photos: Path
) -> None:
    arguments = (SMALL_V1, str(photos), "--store", str(store))
    one = run(capsys, "models", "evaluate", *arguments, "--resolution", "96,128").out
    assert one.startswith(f"7 photos, model {SMALL_V1}, decode reduced,")
    heading = one.splitlines()[1].split()
    assert heading[0] == "resolution"
    assert "decode" not in heading[:2]


def test_a_damaged_photo_is_named_and_left_out(
    capsys: Capture, store: Path, photos: Path, tmp_path: Path
) -> None:
    [place] = [path for path in photos.iterdir() if (path / "3.png").exists()]
    (tmp_path / place.name).mkdir()
    (tmp_path / place.name / "3.png").symlink_to(place / "3.png")
    for index in range(6):
        (tmp_path / place.name / f"bad{index}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    outcome = run(
        capsys, "models", "evaluate", SMALL_V1, str(tmp_path), "--store", str(store), "--json"
    )
    [found] = json.loads(outcome.out)
    assert (found["images"], found["damaged"], found["top1"]) == (1, 6, 100)
    assert "6 photos could not be classified and are excluded:" in outcome.err
    assert "bad0.jpg: " in outcome.err
    assert "and 1 more" in outcome.err
    (tmp_path / place.name / "3.png").unlink()
    text = refused(capsys, "models", "evaluate", SMALL_V1, str(tmp_path), "--store", str(store))
    assert text.startswith("No photo can be classified; ")


def test_what_was_measured_is_written_for_auto(
    capsys: Capture, store: Path, photos: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(store / f"{SMALL_V1}.onnx", tmp_path))
    before = load_model(path)
    arguments = (SMALL_V1, str(photos), "--resolution", "96,128")
    small, own = evaluated(capsys, tmp_path, *arguments, "--write")
    after = load_model(path)
    assert [(one.resolution, one.top1, one.images) for one in after.card.measured] == [
        (128, own["top1"], 7),
        (96, small["top1"], 7),
    ]
    assert after.card.measured[0].photos == photos.name
    assert after.card.model_copy(update={"measured": ()}) == before.card
    pixels = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    assert np.array_equal(before.probabilities(pixels), after.probabilities(pixels))
    least = {"model": "auto", "min_top1": str(own["top1"])}
    photo = next(photos.rglob("*.png")).read_bytes()
    with served(Settings(store=tmp_path, measure_s=0)) as client:
        [listed] = client.get("/models").json()["models"]
        answer = client.post("/predict", content=photo, params=least).json()
        beyond = client.post("/predict", content=photo, params=least | {"min_top1": "99"})
    assert listed["top1"] == {
        "percent": own["top1"],
        "source": f"measured on 7 photos of {photos.name}",
    }
    assert (answer["choice"]["top1"], answer["choice"]["top1_basis"]) == (own["top1"], "measured")
    assert beyond.status_code == 422
    assert before.card.accuracy is not None
    assert before.card.accuracy.top1 < own["top1"]  # which alone would not have been enough
    evaluated(capsys, tmp_path, SMALL_V1, str(photos), "--write")
    assert [one.resolution for one in load_model(path).card.measured] == [128]


@pytest.mark.parametrize("option", ["--decode=full,reduced", "--preprocessing=central_crop"])
def test_figures_that_do_not_stand_for_the_model_are_not_written(
    capsys: Capture, store: Path, photos: Path, tmp_path: Path, option: str
) -> None:
    path = Path(shutil.copy(store / f"{SMALL_V1}.onnx", tmp_path))
    content = path.read_bytes()
    text = refused(
        capsys, "models", "evaluate", SMALL_V1, str(photos), option, "--write",
        "--store", str(tmp_path),
    )  # fmt: skip
    assert text.startswith("--write stores one result per resolution")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            (SMALL_V2, "gone"),
            f"Model 'gone' is not in STORE. Models in the store: {SMALL_V1}, {SMALL_V2}.",
            id="model",
        ),
        pytest.param(
            (SMALL_V1, "mobilenet_v2_1.0_224"),
            "Download it with `mobilenet-gateway models pull mobilenet_v2_1.0_224`.",
            id="not pulled",
        ),
        pytest.param(
            (SMALL_V1, "--decode", "half"), "Unknown decode 'half'. Supported: ", id="decode"
        ),
        pytest.param((SMALL_V1, "--resolution", "big"), "--resolution is 'big'", id="no-number"),
        pytest.param((SMALL_V1, "--resolution", "²"), "--resolution is '²'", id="odd-digit"),
        pytest.param((SMALL_V1, "--csv", "no/x.csv"), "no is not a folder", id="no-folder"),
        pytest.param((SMALL_V1, "--resolution", "100"), "supports 96 to 512 in steps", id="odd"),
        pytest.param(
            (SMALL_V1, "--preprocessing", "squash"), "Unknown preprocessing 'squash'", id="crop"
        ),
        pytest.param((SMALL_V1, "--plot", "x.xyz"), "Unsupported plot format: x.xyz.", id="plot"),
        pytest.param((SMALL_V1, "--decode", ","), "--decode is empty", id="nothing"),
    ],
)
def test_what_cannot_be_evaluated_is_rejected(
    capsys: Capture, store: Path, photos: Path, arguments: tuple[str, ...], reason: str
) -> None:
    models = [argument for argument in arguments[:2] if not argument.startswith("--")]
    if "--" in arguments[1]:
        models = [arguments[0]]
    rest = arguments[len(models) :]
    text = refused(capsys, "models", "evaluate", *models, str(photos), *rest, "--store", str(store))
    assert reason.replace("STORE", str(store)) in text
    assert "\n" not in text


def test_a_full_disk_does_not_cost_what_was_measured(
    capsys: Capture, store: Path, photos: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    with full_disk(10):
        outcome = run(
            capsys, "models", "evaluate", SMALL_V1, str(photos), "--store", str(store), "--json",
            "--csv", str(rows),
        )  # fmt: skip
    assert json.loads(outcome.out)[0]["images"] == 7
    assert outcome.err == f"error: {rows}: File too large\n"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("own", {}),
        ("central_crop", {"resize": "central_crop"}),
        ("shortest_edge:bicubic", {"interpolation": "bicubic"}),
        ("central_crop::1", {"resize": "central_crop", "crop_fraction": 1}),
    ],
)
def test_a_preprocessing_is_the_models_own_but_for_what_is_said(
    text: str, changes: dict[str, Any]
) -> None:
    assert parse_preprocessing(text, OWN) == OWN.model_copy(update=changes)


@pytest.mark.parametrize(
    "text", ["", "own:bicubic", "central_crop:cubic", "shortest_edge::2", "a:b:c:d"]
)
def test_a_preprocessing_that_there_is_not_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"Unknown preprocessing .* Supported: own, or RESIZE"):
        parse_preprocessing(text, OWN)


def test_the_default_model_knows_the_labelled_photos(
    capsys: Capture, real_store: Path, known_photos: Path
) -> None:
    labelled = str(known_photos / "labelled")
    found = evaluated(capsys, real_store, REAL_MODEL, labelled, "--decode", "full,reduced")
    assert [one["top1"] > 85 for one in found] == [True, True]
    assert [one["top5"] for one in found] == [100, 100]
    assert found[1]["top1_agreement"] == 100
