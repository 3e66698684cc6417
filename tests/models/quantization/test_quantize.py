"""`models quantize`: an INT8 file that answers like the float one, is as served, and says so."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from app.card.card import Family
from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.model.model import Model, load_model
from models.commands.quantize import verdict
from models.export.exported import read_exported
from models.export.graph import build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.onnx_cost.graph_cost import graph_cost
from models.photos.views import collect_views, photo_files
from models.quantization.agreement import agreement, probabilities
from models.quantization.calibration import observe
from models.quantization.methods import METHODS, calibrate
from models.quantization.photo_split import split_photos
from models.quantization.trial import Trial, choose_trial
from models.recipes.integers import integer_form
from tests.app.cli_runner import refused, run
from tests.conftest import REAL_MODEL
from tests.exports import export_random

Capture = pytest.CaptureFixture[str]
LIMITS = ImageLimits()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve generated images: smooth colours, edges and noise."""
    folder = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(1)
    for index in range(12):
        coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
        pixels = np.asarray(coarse.resize((210, 150))).astype(np.int16)
        pixels[:, : 15 * index] //= 2
        pixels += random.integers(-20, 20, pixels.shape, np.int16)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def quantized(capsys: Capture, name: str, store: Path, photos: Path, *options: str) -> Any:
    """What the command says of a quantised model, as data."""
    outcome = run(
        capsys, "models", "quantize", name, "--calibration", str(photos),
        "--store", str(store), "--json", *options,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_an_int8_model_of_random_weights_follows_the_float_one(
    capsys: Capture, family: Family, scenes: Path, tmp_path: Path
) -> None:
    path = export_random(tmp_path, family, 0.25, 96)
    said = quantized(capsys, path.stem, tmp_path, scenes, "--images", "16", "--method", "equalized")
    made = load_model(Path(said["file"]))
    float_model = load_model(path)
    assert said["probability_difference"] < 0.05
    assert [trial["method"] for trial in said["ladder"]] == ["equalized"]
    assert said["file_bytes"] < path.stat().st_size / 2
    check_form(made, float_model, Path(said["file"]), photo_files(scenes)[0])


def check_form(made: Model, float_model: Model, path: Path, photo: Path) -> None:
    """Same inputs, outputs, resolutions and cost as the float model, in integers inside."""
    assert made.card.precision == "int8"
    assert made.card.quantization is not None
    assert made.card.quantization.source == float_model.name
    assert made.card.accuracy is None
    for key in ("params", "madds", "stored_params"):
        assert getattr(made.card.cost, key) == getattr(float_model.card.cost, key)
    walked = graph_cost(path, made.card.resolution)
    assert (walked.madds, walked.stored_params) == (
        made.card.cost.madds,
        made.card.cost.stored_params,
    )
    graph = onnx.load(path).graph
    kernels = {item.name: item.data_type for item in graph.initializer if ".weight" in item.name}
    integers = [name for name, kind in kernels.items() if kind == onnx.TensorProto.INT8]
    assert {f"{row.name}.weight" for row in made.card.cost.layers if row.weights} <= set(integers)
    for side in (96, 160, 224):
        image = load_image(photo.read_bytes(), side, made.card.preprocessing, LIMITS)[np.newaxis]
        ours, theirs = made.embedding(image)[0], float_model.embedding(image)[0]
        assert ours @ theirs > 0.9 * np.linalg.norm(ours) * np.linalg.norm(theirs)
        assert made.probabilities(image).shape == (1, len(made.card.labels))


def test_all_methods_are_tried_and_the_best_one_is_used(
    capsys: Capture, scenes: Path, tmp_path: Path
) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    said = quantized(capsys, path.stem, tmp_path, scenes, "--images", "12", "--name", "small")
    assert said["file"] == str(tmp_path / "small.onnx")
    trials = {trial["method"]: trial for trial in said["ladder"]}
    assert list(trials) == [method.name for method in METHODS]
    best = min(trial["divergence"] for trial in trials.values())
    assert trials[said["method"]]["divergence"] * 0.94 < best


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param(("gone",), "Models in the store: m.", id="model"),
        pytest.param(
            ("m", "--method", "magic"),
            "Unknown method 'magic'. Supported for this model: per_",
            id="method",
        ),
        pytest.param(("m", "--name", "Ünfit"), "Invalid name 'Ünfit'", id="name"),
        pytest.param(
            ("m", "--name", "mobilenet_v2_1.0_224"), "is the name of a model of the zoo", id="zoo"
        ),
        pytest.param(
            ("m", "--name", "m"),
            "m.onnx exists already. Choose another name with --name",
            id="taken",
        ),
        pytest.param(
            ("m", "--holdout", "SCENES"), "0.png is in both SCENES and SCENES", id="shared"
        ),
        pytest.param(("m", "--holdout", "nowhere"), "nowhere is not a folder", id="holdout"),
    ],
)
def test_what_cannot_be_quantized_is_rejected(
    capsys: Capture, scenes: Path, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    export_random(tmp_path, "mobilenet_v2", 0.1, 96).rename(tmp_path / "m.onnx")
    arguments = ("--calibration", str(scenes), "--store", str(tmp_path))
    options = tuple(option.replace("SCENES", str(scenes)) for option in options)
    text = refused(capsys, "models", "quantize", *options, *arguments)
    assert reason.replace("SCENES", str(scenes)) in text


def test_photos_that_are_missing_few_or_damaged_are_rejected(
    capsys: Capture, tmp_path: Path, scenes: Path
) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    folder = tmp_path / "photos"
    folder.mkdir()

    def reason() -> str:
        arguments = ("--calibration", str(folder), "--store", str(tmp_path))
        return refused(capsys, "models", "quantize", path.stem, *arguments)

    assert "contains no image (.avif, " in reason()
    for index in range(3):
        (folder / f"{index}.png").symlink_to(scenes / f"{index}.png")
    assert "contains 3 photos; at least 4 are needed" in reason()
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    assert f"{folder}/broken.jpg: " in reason()


def test_views_of_many_photos_are_of_photos_from_first_to_last(tmp_path: Path) -> None:
    card = read_exported(export_random(tmp_path, "mobilenet_v2", 0.1, 96)).card
    for shade in range(0, 250, 25):
        Image.new("L", (96, 96), shade).save(tmp_path / f"{shade:03}.png")
    images = collect_views(photo_files(tmp_path), card, LIMITS, 6)
    assert [int(image.mean()) for image in images] == [0, 25, 75, 125, 150, 200]


def test_a_model_is_not_written_over_whatever_the_file_of_the_float_one_is_called(
    capsys: Capture, scenes: Path, tmp_path: Path
) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    there = tmp_path / f"{path.stem}_ptq.onnx"
    there.write_bytes(b"mine")
    path.rename(tmp_path / "m.onnx")
    arguments = ("m", "--calibration", str(scenes), "--store", str(tmp_path))
    text = refused(capsys, "models", "quantize", *arguments)
    assert f"{there} exists already. Choose another name" in text
    assert there.read_bytes() == b"mine"
    options = ("--force", "--method", "per_tensor", "--images", "8")
    assert quantized(capsys, "m", tmp_path, scenes, *options)["file"] == str(there)
    assert load_model(there).card.precision == "int8"


def test_photos_are_held_as_views_and_counted_one_by_one(tmp_path: Path, scenes: Path) -> None:
    """Of a photo from a camera its bytes take thirty times what a view of it does."""
    card = read_exported(export_random(tmp_path, "mobilenet_v2", 0.1, 96)).card
    size = 3_000_000
    for file in photo_files(scenes):
        (tmp_path / file.name).write_bytes(file.read_bytes().ljust(size, b"\0"))
    told: list[tuple[str, int, int]] = []
    held: list[int] = []

    def progress(task: str, done: int, total: int) -> None:
        told.append((task, done, total))
        held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        found = split_photos(card, tmp_path, scenes, 30, LIMITS, progress)
    finally:
        tracemalloc.stop()
    assert told == [("reading photos", done, 24) for done in range(1, 25)]
    assert [len(part) for part in (found.calibration, found.comparison, found.report)] == [30] * 3
    assert max(held) < 2 * size


def test_an_int8_model_is_not_quantized_again(
    capsys: Capture, scenes: Path, tmp_path: Path
) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    said = quantized(
        capsys, path.stem, tmp_path, scenes, "--images", "8", "--method", "per_channel"
    )
    text = refused(
        capsys, "models", "quantize", said["model"], "--calibration", str(scenes), "--store",
        str(tmp_path),
    )  # fmt: skip
    assert text == f"{said['model']} is already int8; a float model is needed"


def test_a_method_that_is_hardly_better_is_not_chosen() -> None:
    def trial(name: str, probability: float) -> Trial:
        reference = np.array([[0.9, 0.1]], np.float32)
        answers = np.array([[probability, 1 - probability]], np.float32)
        method = next(one for one in METHODS if one.name == name)
        return Trial(method, agreement(reference, answers))

    trials = [trial("per_channel", 0.8), trial("mse", 0.85), trial("equalized", 0.8505)]
    assert choose_trial(trials).method.name == "mse"


@pytest.mark.parametrize(
    ("int8_ms", "device", "says"),
    [
        pytest.param(3.0, "cpu (x86_64, with VNNI)", "INT8 is 2.0 times as fast", id="pays"),
        pytest.param(9.0, "cpu (x86_64, without VNNI)", "without VNNI instructions", id="no-vnni"),
        pytest.param(6.0, "cpu (aarch64)", "INT8 is not worth it here: it takes 1.0", id="same"),
    ],
)
def test_the_verdict_says_whether_int8_pays(int8_ms: float, device: str, says: str) -> None:
    data = {
        "file": "m", "top1_agreement": 99.0, "compared_images": 5,
        "float_ms": 6.0, "int8_ms": int8_ms, "device": device,
    }  # fmt: skip
    assert says in verdict(data)


def as_first_view(model: Model, files: list[Path]) -> np.ndarray:
    return probabilities(model.session, collect_views(files, model.card, LIMITS, len(files)))


@pytest.mark.unmeasured
def test_the_default_model_keeps_its_answers_on_photos_it_was_not_calibrated_on(
    capsys: Capture, real_store: Path, known_photos: Path, tmp_path: Path
) -> None:
    """Calibrated on 8 photos and what scikit-image ships; compared on 11 others and their crops."""
    skimage_data = pytest.importorskip(
        "skimage.data", reason="needs scikit-image, of the extra `bench`"
    )
    packaged = Path(skimage_data.__file__).parent
    store, calibration, held = tmp_path, tmp_path / "calibration", tmp_path / "held"
    calibration.mkdir()
    held.mkdir()
    (store / f"{REAL_MODEL}.onnx").symlink_to(real_store / f"{REAL_MODEL}.onnx")
    labelled = photo_files(known_photos / "labelled")
    shipped = ("astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "camera.png")
    for path in (*labelled[::2], *(packaged / name for name in shipped)):
        (calibration / path.name).symlink_to(path)
    others = ("parrot.jpg", "hot_dog.jpg", "grace_hopper.bmp")
    held_out = [*labelled[1::2], *(known_photos / name for name in others)]
    for path in held_out:
        (held / path.name).symlink_to(path)

    options = ("--holdout", str(held), "--method", "equalized", "--images", "44")
    said = quantized(capsys, REAL_MODEL, store, calibration, *options)
    assert said["compared_images"] == 44
    assert said["top1_agreement"] >= 95
    assert said["probability_difference"] < 0.05

    made, float_model = load_model(Path(said["file"])), load_model(store / f"{REAL_MODEL}.onnx")
    check_form(made, float_model, Path(said["file"]), held_out[0])
    plain = agreement(as_first_view(float_model, held_out), as_first_view(made, held_out))
    assert plain.same_top1 >= len(held_out) - 1
    classes = as_first_view(made, labelled).argmax(axis=1)
    names = [made.card.labels[index].lower() for index in classes]
    right = [
        name == path.stem.replace("_", " ") for name, path in zip(names, labelled, strict=True)
    ]
    assert sum(right) >= len(labelled) - 2, names


def test_the_integers_are_the_kernels_of_the_file(scenes: Path, tmp_path: Path) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    model = read_exported(path)
    images = collect_views(photo_files(scenes), model.card, LIMITS, 2)
    method = next(one for one in METHODS if one.name == "per_channel")
    numbers = calibrate(model, observe(path, model.network, images), method)
    integers = integer_form(model.network, model.checkpoint.layers, numbers)
    graph = build_graph(model.network, PostTrainingWriter(integers), model.background).graph
    made = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    kernels = [item for item in onnx.load(path).graph.initializer if item.name.endswith(".weight")]
    assert len(kernels) == 53
    for kernel in kernels:
        rounded = made[kernel.name]
        assert rounded.dtype == np.int8
        assert abs(rounded).max() == 127
        scales = made[f"{kernel.name}_scale"].reshape(-1, *[1] * (rounded.ndim - 1))
        assert (abs(rounded * scales - numpy_helper.to_array(kernel)) < 0.501 * scales).all()
