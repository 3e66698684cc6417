"""Weights of fine-tuned networks become models that answer as their frameworks did."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from app.card import CARD_KEY, Family, parse_card
from app.model import load_model
from app.settings import Settings
from models.adoption.admission import Refused
from models.adoption.checkpoint import scaling_of
from models.checkpoints import timm, torchvision
from models.checkpoints.canonical import Affine
from models.cost import network_cost
from models.design import PAPER, Design, define
from models.export import read_metadata
from models.fetch import Fetcher
from models.zoo import export_entry, find, formats
from tests.app.commands import refused, run
from tests.app.pictures import encode
from tests.models.adoption.exported import run as answers_of
from tests.models.adoption.exported import write_labels
from tests.models.adoption.finetuned import (
    FILES,
    KERAS,
    KERAS_H5,
    TFLITE_DYNAMIC,
    TORCH,
    adopted,
    recorded,
    unpack,
)
from tests.models.adoption.inputs import LABELS, SIDE, images
from tests.models.checkpoints import torch_files as write
from tests.models.checkpoints.state_dicts import state_dict
from tests.serving import served

Capture = pytest.CaptureFixture[str]
Tensors = dict[str, NDArray[np.float32]]
TOLERANCE = 1e-4
CLASSES = len(LABELS)


def save_torch(path: Path, tensors: Tensors) -> Path:
    path.write_bytes(write.zipped(*write.state_dict(tensors)))
    return path


def torchvision_tensors(alpha: float = 0.1, classes: int = CLASSES, head: str = "") -> Tensors:
    network = define("mobilenet_v2", alpha, SIDE, classes, "symmetric")
    return state_dict(network, torchvision.convolutions(), head or torchvision.CLASSIFIER)


# --- what is adopted ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_fine_tuned_network_answers_as_its_framework_did(name: str, tmp_path: Path) -> None:
    adoption = adopted(unpack(name, tmp_path))
    probabilities, embedding = answers_of(adoption.model)
    assert abs(probabilities - recorded(name)).max() < TOLERANCE
    assert embedding.shape == (3, 1280)
    card = adoption.card
    assert (card.family, card.alpha, card.resolution) == ("mobilenet_v2", 0.05, SIDE)
    assert (card.labels, card.accuracy, card.origin.kind) == (LABELS, None, "imported")
    assert card.cost == network_cost(define("mobilenet_v2", 0.05, SIDE, CLASSES))
    assert all(finding.known_by for finding in adoption.findings)


def test_kernels_that_tensorflow_put_in_8_bits_answer_nearly_as_before(tmp_path: Path) -> None:
    adoption = adopted(unpack(TFLITE_DYNAMIC, tmp_path), resolution=None)
    probabilities, _ = answers_of(adoption.model)
    assert abs(probabilities - recorded(TFLITE_DYNAMIC)).max() < 0.01
    card = adoption.card
    assert (card.precision, card.family, card.resolution) == ("fp32", "mobilenet_v2", SIDE)


def test_weights_of_keras_alone_are_the_same_as_in_the_whole_file(tmp_path: Path) -> None:
    """`save_weights` writes what lies in a `.keras` file."""
    with zipfile.ZipFile(unpack(KERAS, tmp_path)) as archive:
        path = tmp_path / "mine.weights.h5"
        path.write_bytes(archive.read("model.weights.h5"))
    adoption = adopted(path)
    assert adoption.card.name == "mine"
    assert abs(answers_of(adoption.model)[0] - recorded(KERAS)).max() < TOLERANCE


def test_random_numbers_of_augmentation_are_no_weights(tmp_path: Path) -> None:
    """Versions of Keras differ in whether they keep them."""
    with zipfile.ZipFile(unpack(KERAS, tmp_path)) as archive:
        path = tmp_path / "seeded.weights.h5"
        path.write_bytes(archive.read("model.weights.h5"))
    flip = "layers/sequential/layers/random_flip"
    with h5py.File(path, "a") as file:
        file[f"{flip}/seed_generator/vars/0"] = np.zeros(2, np.uint32)
    assert abs(answers_of(adopted(path).model)[0] - recorded(KERAS)).max() < TOLERANCE
    with h5py.File(path, "a") as file:
        file[f"{flip}/vars/0"] = np.zeros(2, np.float32)
    with pytest.raises(Refused, match="layers are not of the family: sequential"):
        adopted(path)


@pytest.mark.parametrize("head", ["classifier", "classifier.1", "classifier.3"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_the_head_may_stand_anywhere(head: str, prefix: str, tmp_path: Path) -> None:
    tensors = torchvision_tensors(head=head)
    path = save_torch(
        tmp_path / "own.pth", {f"{prefix}{name}": kept for name, kept in tensors.items()}
    )
    card = adopted(path).card
    assert (card.family, card.alpha, len(card.labels)) == ("mobilenet_v2", 0.1, CLASSES)


@pytest.mark.parametrize(
    ("family", "alpha", "design"),
    [
        pytest.param("mobilenet_v1", 0.25, PAPER, id="v1"),
        pytest.param("mobilenet_v1", 0.5, Design(head=True), id="v1 with a head"),
        pytest.param("mobilenet_v2", 0.35, PAPER, id="v2"),
        pytest.param("mobilenet_v2", 1.1, Design(depth=1.2, fixed_ends=True), id="v2 with depth"),
    ],
)
def test_every_design_of_timm_is_recognised(
    family: Family, alpha: float, design: Design, tmp_path: Path
) -> None:
    network = define(family, alpha, SIDE, CLASSES, "symmetric", design)
    tensors = state_dict(network, timm.convolutions(family, design), timm.CLASSIFIER)
    path = tmp_path / "own.safetensors"
    save_file({name: values for name, values in tensors.items() if values.ndim}, path)
    adoption = adopted(path)
    assert (adoption.card.family, adoption.card.alpha) == (family, alpha)
    assert adoption.card.cost == network_cost(network)
    form = formats()[f"timm_{family.removeprefix('mobilenet_')}"]
    assert adoption.card.preprocessing == form.preprocessing


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_int8"])
def test_a_tflite_file_gives_the_zoos_own_model(
    name: str, shared_weights: Path, tmp_path: Path
) -> None:
    entry = find(name)
    locate = Fetcher(tmp_path, (shared_weights,), offline=True).locate
    [path] = locate(entry)
    adoption = adopted(path, "own", labels="imagenet", background=True, resolution=None)
    wanted = load_model(export_entry(entry, locate, tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    assert np.array_equal(answers_of(adoption.model, pixels)[0], wanted.probabilities(pixels))
    mine, theirs = adoption.card, wanted.card
    for part in ("family", "alpha", "resolution", "precision", "labels", "preprocessing", "cost"):
        assert getattr(mine, part) == getattr(theirs, part)
    assert [file.sha256 for file in mine.origin.files] == [
        file.sha256 for file in theirs.origin.files
    ]


def test_the_scale_of_a_quantised_input_is_told_as_scaling() -> None:
    scaling = scaling_of(Affine(1 / 128, 100))
    pixels = np.arange(256)
    scaled = (pixels / 255 - scaling.mean[0]) / scaling.std[0]
    assert np.allclose(scaled, (pixels - 100) / 128)


def test_what_is_said_goes_before_what_is_usual(tmp_path: Path) -> None:
    path = unpack(TORCH, tmp_path)
    usual = adopted(path)
    other = adopted(path, mean=(0.5,), std=(0.5,), crop_fraction=1.0, interpolation="bicubic")
    form = formats()["torchvision"]
    assert usual.card.preprocessing == form.preprocessing
    assert other.card.preprocessing.crop_fraction == 1
    assert other.card.preprocessing.resize == form.preprocessing.resize
    assert not np.allclose(answers_of(usual.model)[0], answers_of(other.model)[0], atol=1e-3)
    known_by = {finding.what: finding.known_by for finding in other.findings}
    assert known_by["scaling"] == "--mean, --std"
    assert known_by["preprocessing"] == "--crop-fraction, --interpolation, usual for torchvision"


# --- on the command line -----------------------------------------------------------------------


def test_own_weights_are_served_with_own_labels(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STORE", str(tmp_path / "store"))
    arguments = ["models", "import", str(unpack(KERAS, tmp_path)), "--name", "mine"]
    text = refused(capsys, *arguments)
    assert text == (
        "no file of weights says at how many pixels it was trained: give --resolution, as 224"
    )
    arguments += ["--resolution", str(SIDE)]
    assert refused(capsys, *arguments).startswith(
        "no file says what its 10 classes are called: give --labels FILE"
    )
    arguments += ["--labels", str(write_labels(tmp_path)), "--json"]
    outcome = run(capsys, *arguments)
    assert outcome.status == 0, outcome.err
    written = json.loads(outcome.out)
    path = tmp_path / "store" / "mine.onnx"
    assert written["file"] == str(path)
    card = parse_card(read_metadata(path)[CARD_KEY])
    assert written["card"] == card.model_dump(
        mode="json", exclude={"labels": True, "cost": {"layers"}}
    )
    photo = encode(Image.fromarray(images(1)[0]), "PNG")
    with served(Settings(store=tmp_path / "store", default_model="mine")) as client:
        answer = client.post("/predict", content=photo, params={"top_k": CLASSES})
        smaller = client.post("/predict", content=photo, params={"resolution": 128})
    found = {row["label"]: row["probability"] for row in answer.json()["results"][0]["predictions"]}
    assert set(found) == set(LABELS)
    assert smaller.status_code == 200


# --- what is refused ---------------------------------------------------------------------------


def other_network(tensors: Tensors) -> Tensors:
    return {name.replace("features", "layers"): values for name, values in tensors.items()}


def without_a_block(tensors: Tensors) -> Tensors:
    return {name: values for name, values in tensors.items() if "features.9." not in name}


def with_two_layers(tensors: Tensors) -> Tensors:
    return tensors | {"classifier.4.weight": np.ones((4, CLASSES), np.float32)}


def headless(tensors: Tensors) -> Tensors:
    return {name: values for name, values in tensors.items() if "classifier" not in name}


def with_a_stranger(tensors: Tensors) -> Tensors:
    return tensors | {"temperature": np.ones(1, np.float32)}


def overflowing(tensors: Tensors) -> Tensors:
    name = "classifier.1.weight"
    return tensors | {name: np.full_like(tensors[name], 3e38)}


def not_finite(tensors: Tensors) -> Tensors:
    name = "classifier.1.weight"
    return tensors | {name: np.full_like(tensors[name], np.nan)}


def with_one_class(_: Tensors) -> Tensors:
    return torchvision_tensors(classes=1)


def of_no_width(tensors: Tensors) -> Tensors:
    """Twelve channels, not eight, between the first block's two layers."""
    changed = dict(tensors)
    for name in tensors:
        if name.startswith("features.1.conv.1.") or name.startswith("features.1.conv.2."):
            shape = tensors[name].shape
            changed[name] = np.ones((12, *shape[1:]), np.float32) if shape else tensors[name]
    expand = "features.2.conv.0.0.weight"
    changed[expand] = np.ones((tensors[expand].shape[0], 12, 1, 1), np.float32)
    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_network, r"not a MobileNetV1 or V2 as .*; another network comes in as ONNX"),
        (without_a_block, r"\(features\.9\.conv\.0\.0, .*\); another network comes in as ONNX"),
        (with_two_layers, r"2 linear layers \(classifier\.1, classifier\.4\)"),
        (headless, r"0 linear layers, and a MobileNet has one"),
        (with_a_stranger, r"tensors are not of this mobilenet_v2: temperature"),
        (overflowing, r"values that are not numbers: the weights are damaged"),
        (not_finite, r"classifier has a weight that is not a finite number"),
        (with_one_class, r"it has one score, as for a yes or no"),
        (of_no_width, r"no width multiplier from 0\.01 to 2\.0 gives the channels"),
    ],
)
def test_weights_of_something_else_are_one_clear_error(
    change: Callable[[Tensors], Tensors], reason: str, tmp_path: Path
) -> None:
    path = save_torch(tmp_path / "own.pth", change(torchvision_tensors()))
    with pytest.raises(Refused, match=reason) as caught:
        adopted(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"resolution": 100}, "resolution is 100; it has to be a multiple of 32"),
        ({"layout": "nchw"}, "--layout is for ONNX files; tutorial.h5 has weights: leave it out"),
        ({"output": "x"}, "--output is for ONNX files"),
        ({"like": "foo"}, "no preset 'foo'; there are torchvision, "),
        ({"labels": "imagenet"}, "it has 10 classes, imagenet has 1000 names"),
        ({"background": True}, "it has 9 classes and a background, .* has 10 names"),
        ({"std": (0.0,)}, "--std is of pixel / 255, so above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        adopted(unpack(KERAS_H5, tmp_path), **said)


def test_a_quantised_file_scales_its_own_pixels(shared_weights: Path) -> None:
    path = shared_weights / "mobilenet_v1_0.25_128_quant.tflite"
    with pytest.raises(Refused, match="scales them itself: leave out --mean"):
        adopted(path, labels="imagenet", mean=(0.5,), resolution=None)
    with pytest.raises(Refused, match="it is made for 128 pixels, not for 96"):
        adopted(path, labels="imagenet", resolution=96)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut early": lambda whole: whole[:40],
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut late": lambda whole: whole[:-9],
    "text": lambda _: b"these are no weights\n" * 99,
    "compressed": gzip.compress,
    "zip of something": lambda _: write.zipped(b"", {}).replace(b"data.pkl", b"data.txt"),
}


@pytest.mark.parametrize("name", [*FILES, "own.tflite", "own.safetensors", "own.weights.h5"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_one_line_by_the_name_of_the_file(
    damage: Callable[[bytes], bytes], name: str, capsys: Capture, tmp_path: Path
) -> None:
    whole = unpack(name if name in FILES else KERAS_H5, tmp_path).read_bytes()
    (tmp_path / name).write_bytes(damage(whole))
    text = refused(
        capsys, "models", "import", str(tmp_path / name), "--resolution", "96",
        "--labels", str(write_labels(tmp_path)), "--store", str(tmp_path / "store"),
    )  # fmt: skip
    assert "\n" not in text
    assert text.startswith(name)
    assert not (tmp_path / "store").exists()


def test_a_pickle_that_asks_for_more_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    code = write.call("posix system", write.text("true"))
    path.write_bytes(write.zipped(write.mapping({"state_dict": code}), {}))
    with pytest.raises(Refused, match=r"asks for posix\.system, which is not allowed"):
        adopted(path)
