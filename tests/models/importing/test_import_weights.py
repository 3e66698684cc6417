"""Weights of fine-tuned networks become models that answer as their frameworks did."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from app.card.card import CARD_KEY, Family, parse_card
from app.model.model import load_model
from app.settings import Settings
from models.checkpoints.torch import timm
from models.export.export import read_metadata, write_model
from models.importing.checks import Refused
from models.network.cost import network_cost
from models.network.design import PAPER_DESIGN, Design, define
from models.zoo.fetch import Fetcher
from models.zoo.zoo import export_entry, find, formats, with_exact_integers
from tests.app.cli_runner import refused, run
from tests.app.sample_images import encode
from tests.models.checkpoints.torch.state_dicts import state_dict
from tests.models.importing.exported import run as answers_of
from tests.models.importing.exported import write_labels
from tests.models.importing.finetuned import (
    CLASSES,
    FILES,
    KERAS,
    KERAS_H5,
    TFLITE_DYNAMIC,
    TORCH,
    adopted,
    recorded,
    save_torch,
    torchvision_tensors,
    unpack,
)
from tests.models.importing.inputs import LABELS, SIDE, images
from tests.serving import served

Capture = pytest.CaptureFixture[str]
TOLERANCE = 1e-4


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
        pytest.param("mobilenet_v1", 0.25, PAPER_DESIGN, id="v1"),
        pytest.param("mobilenet_v1", 0.5, Design(head=True), id="v1 with a head"),
        pytest.param("mobilenet_v2", 0.35, PAPER_DESIGN, id="v2"),
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
    name: str, published_weights: Path, tmp_path: Path
) -> None:
    integers = name.endswith("int8")
    entry = with_exact_integers(find(name)) if integers else find(name)
    locate = Fetcher(tmp_path, (published_weights,), offline=True).locate
    [path] = locate(entry)
    like = {} if integers else {"like": "tflite"}
    said = {"labels": "imagenet", "background": True, "resolution": None, **like}
    adoption = adopted(path, "own", **said)
    wanted = load_model(export_entry(entry, locate, tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    difference = answers_of(adoption.model, pixels)[0] - wanted.probabilities(pixels)
    assert abs(difference).max() < 1e-5  # 1.1e-6 with the kernels of AVX2, less with AVX-512
    mine, theirs = adoption.card, wanted.card
    for part in ("family", "alpha", "resolution", "precision", "labels", "preprocessing", "cost"):
        assert getattr(mine, part) == getattr(theirs, part)
    assert [file.sha256 for file in mine.origin.files] == [
        file.sha256 for file in theirs.origin.files
    ]


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


@pytest.mark.parametrize("name", [KERAS, KERAS_H5])
def test_a_whole_model_of_keras_says_its_resolution_and_scaling(name: str, tmp_path: Path) -> None:
    adoption = adopted(unpack(name, tmp_path), resolution=None)
    assert abs(answers_of(adoption.model)[0] - recorded(name)).max() < TOLERANCE
    assert adoption.card.resolution == SIDE
    known_by = {finding.what: finding.known_by for finding in adoption.findings}
    assert known_by["resolution"] == "the file"
    assert known_by["scaling"] == "the graph scales by itself"
    said = adopted(unpack(name, tmp_path), resolution=128)
    assert said.card.resolution == 128
    assert "--resolution" in {finding.known_by for finding in said.findings}
    with pytest.raises(Refused, match=r"scales pixels itself.*Remove --mean"):
        adopted(unpack(name, tmp_path), mean=(0.4,), std=(0.2,))


def test_the_scaling_in_a_file_of_keras_goes_before_the_usual_one(tmp_path: Path) -> None:
    """`pixel / 255`, as many write it, where `preprocess_input` stood."""
    path = rescaled(unpack(KERAS, tmp_path), {"TrueDivide": 255.0, "Subtract": 0.0})
    found = adopted(path)
    with zipfile.ZipFile(unpack(KERAS, tmp_path)) as archive:
        weights = tmp_path / "mine.weights.h5"
        weights.write_bytes(archive.read("model.weights.h5"))
    said = adopted(weights, mean=(0.0,), std=(1.0,))
    usual = adopted(weights)
    answers = [answers_of(one.model)[0] for one in (found, said, usual)]
    assert np.allclose(answers[0], answers[1], atol=1e-4)
    assert not np.allclose(answers[0], answers[2], atol=1e-3)
    scaling = next(finding for finding in found.findings if finding.what == "scaling")
    assert (scaling.value, scaling.known_by) == (
        "(pixel / 255 - 0) / 0.00392157",
        "the graph scales by itself",
    )


def test_a_scaling_by_no_number_is_rejected(tmp_path: Path) -> None:
    path = rescaled(unpack(KERAS, tmp_path), {"TrueDivide": float("nan")})
    with pytest.raises(Refused, match="outputs are not finite"):
        adopted(path)


def test_a_size_that_is_no_multiple_of_32_is_served_as_it_is(tmp_path: Path) -> None:
    path = reconfigured(unpack(KERAS, tmp_path), lambda text: text.replace("96, 96", "180, 180"))
    card = adopted(path, resolution=None).card
    assert (card.family, card.alpha, card.resolution) == ("mobilenet_v2", 0.05, 180)
    assert str(card.resolutions) == "180 only"
    assert adopted(path, resolution=192).card.resolution == 192


def rescaled(path: Path, constants: dict[str, float]) -> Path:
    """The file with other numbers in the arithmetic in front of the network."""

    def replace(text: str) -> str:
        config = json.loads(text)
        for layer in config["config"]["layers"]:
            if layer["class_name"] in constants:
                layer["inbound_nodes"][0]["args"][1] = constants[layer["class_name"]]
        return json.dumps(config)

    return reconfigured(path, replace)


def reconfigured(path: Path, change: Callable[[str], str]) -> Path:
    """The file with another configuration beside its weights."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["config.json"] = change(entries["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_own_weights_are_served_with_own_labels(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STORE", str(tmp_path / "store"))
    arguments = ["models", "import", str(unpack(TORCH, tmp_path)), "--name", "mine"]
    text = refused(capsys, *arguments)
    assert text.startswith("3 answers are missing that only you know:")
    arguments += ["--resolution", str(SIDE), "--mean", "0.485,0.456,0.406"]
    arguments += ["--std", "0.229,0.224,0.225"]
    assert "--labels: the file does not name its 10 classes." in refused(capsys, *arguments)
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


def test_the_cost_of_own_weights_is_that_of_the_family_at_every_size(
    capsys: Capture, tmp_path: Path
) -> None:
    adoption = adopted(unpack(TORCH, tmp_path), "own")
    write_model(adoption.model, tmp_path / "own.onnx")
    for side in (SIDE, 224):
        arguments = ("own", "--store", str(tmp_path), "--json", "--resolution", str(side))
        told = json.loads(run(capsys, "models", "cost", *arguments).out)
        wanted = network_cost(define("mobilenet_v2", 0.05, side, CLASSES)).model_dump()
        assert {name: told[name] for name in told.keys() & wanted.keys()} == {
            name: wanted[name] for name in told.keys() & wanted.keys()
        }
        assert told["params"] == adoption.card.cost.params


def test_two_classes_are_measured_and_then_chosen_by_auto(capsys: Capture, tmp_path: Path) -> None:
    """Of weights with classes of their own nothing is known until somebody measures them."""
    store, photos = tmp_path / "store", tmp_path / "photos"
    tensors = torchvision_tensors(classes=2)
    tensors["classifier.1.bias"][:] = (0, 9)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    adoption = adopted(
        save_torch(tmp_path / "own.pth", tensors), labels=str(tmp_path / "names.txt")
    )
    write_model(adoption.model, store / "own.onnx")
    for name, pixels in zip(("cat", "dog", "dog"), images(3), strict=True):
        place = photos / name
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{len(list(photos.rglob('*.png')))}.png")
    photo = next(photos.rglob("*.png")).read_bytes()
    asked = {"model": "auto", "min_top1": "50"}
    with served(Settings(store=store, measure_s=0)) as client:
        before = client.post("/predict", content=photo, params=asked)
        assert client.get("/models").json()["models"][0]["top1"] is None
    assert before.status_code == 422
    assert "models evaluate --write" in before.json()["detail"]
    outcome = run(
        capsys, "models", "evaluate", "own", str(photos), "--write", "--store", str(store)
    )
    assert outcome.status == 0, outcome.err
    with served(Settings(store=store, measure_s=0)) as client:
        after = client.post("/predict", content=photo, params=asked).json()
    assert after["choice"]["top1"] == pytest.approx(200 / 3, abs=0.01)
    assert after["choice"]["top1_basis"] == "measured"
