"""Exported models give the answers of the frameworks that their weights come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from app.card.card import Family
from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.model.model import load_model
from app.model.runtime import new_session
from models.checkpoints.keras import keras_h5
from models.checkpoints.tflite import tflite
from models.export.export import export
from models.export.graph import QuantizedWriter, build_graph
from models.network.design import define
from models.zoo.fetch import Fetcher
from models.zoo.zoo import export_entry, find, with_exact_integers, zoo
from tests.models.checkpoints.keras.keras_files import write_named
from tests.models.fidelity import keras_record, litert
from tests.models.fidelity.inputs import Input, packaged_inputs, photo_inputs
from tests.models.fidelity.torch_record import recorded_answers

FLOAT_TOLERANCE = 1e-4
INT8_TOLERANCE = 0.02
CONVERTED = Path(litert.__file__).with_name("mobilenet_v1_0.05_96_int8.tflite")

FLOAT = [
    name
    for name, entry in zoo().items()
    if entry.precision == "fp32" and entry.checkpoint.format == "tflite_float" and entry.pinned
]
INT8 = [
    name
    for name, entry in zoo().items()
    if entry.precision == "int8" and entry.pinned and not entry.int8_recipe
]


@pytest.fixture(scope="module")
def inputs_224(known_photos: Path) -> list[Input]:
    return [*packaged_inputs(), *photo_inputs(known_photos)]


def our_answers(name: str, weights: Path, store: Path, images: list[Input]) -> np.ndarray:
    """Probabilities [N, 1000] of the exported model, an image at a time as the service does."""
    path = export_entry(find(name), Fetcher(store, (weights,), offline=True).locate, store)
    return probabilities(path, images)


def probabilities(path: Path, images: list[Input]) -> np.ndarray:
    model = load_model(path)
    return np.concatenate([model.probabilities(one.pixels[np.newaxis]) for one in images])


def litert_answers(name: str, weights: Path, images: list[Input]) -> np.ndarray:
    """Probabilities [N, 1000] of the interpreter, the background class left out."""
    paths = [weights / file for file in find(name).files]
    return litert.probabilities(paths, np.stack([one.pixels for one in images]))[:, 1:]


def photos_at(resolution: int, photos: Path) -> list[Input]:
    return [*packaged_inputs(resolution), *photo_inputs(photos, resolution)]


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", FLOAT)
def test_a_float_model_agrees_with_litert(
    name: str, published_weights: Path, known_photos: Path, tmp_path: Path
) -> None:
    images = photos_at(find(name).recipe.resolution, known_photos)
    assert len(images) >= 20
    ours = our_answers(name, published_weights, tmp_path, images)
    assert np.abs(ours - litert_answers(name, published_weights, images)).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize("name", INT8)
def test_exact_integers_agree_with_litert_and_have_the_same_first_class(
    name: str, published_weights: Path, known_photos: Path, tmp_path: Path
) -> None:
    entry = with_exact_integers(find(name))
    images = photos_at(entry.recipe.resolution, known_photos)
    locate = Fetcher(tmp_path, (published_weights,), offline=True).locate
    ours = probabilities(export_entry(entry, locate, tmp_path), images)
    theirs = litert_answers(name, published_weights, images)
    assert np.abs(ours - theirs).max() < INT8_TOLERANCE
    best = theirs.max(axis=1)
    # LiteRT rounds to 1/256, so its first class can be shared by two.
    assert np.allclose(theirs[np.arange(len(best)), ours.argmax(axis=1)], best)


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_int8", "mobilenet_v1_0.5_160_int8"])
def test_scales_for_each_channel_change_only_what_the_publishers_integers_are_unsure_of(
    name: str, published_weights: Path, waste_photos: Path, tmp_path: Path
) -> None:
    """Photos of waste, of which ImageNet has few classes, so that many answers are near ties."""
    entry = find(name)
    rule, side = entry.recipe.preprocessing, entry.recipe.resolution
    images = [
        Input(path.name, load_image(path.read_bytes(), side, rule, ImageLimits()))
        for path in sorted(waste_photos.glob("*/*"))[::4]
    ]
    assert len(images) == 90
    ours = our_answers(name, published_weights, tmp_path, images)
    theirs = litert_answers(name, published_weights, images)
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    sure = theirs.max(axis=1) >= 0.4
    assert sure.sum() >= 10
    assert same[sure].all()
    assert same.mean() >= 0.9


def test_an_int8_file_of_tensorflows_converter_agrees_with_litert(tmp_path: Path) -> None:
    """Signed, with a scale for each channel; the file is `make_tflite.py`'s."""
    images = packaged_inputs(96)
    checkpoint = tflite.read([CONVERTED], "mobilenet_v1")
    assert checkpoint.quantization is not None
    network = define("mobilenet_v1", alpha=0.05, resolution=96, classes=20)
    graph = build_graph(network, QuantizedWriter(checkpoint.quantization), background=False)
    path = tmp_path / "converted.onnx"
    onnx.save(graph, path)
    session = new_session(path)
    ours = np.concatenate(
        [session.run(["probabilities"], {"image": one.pixels[np.newaxis]})[0] for one in images]
    )
    theirs = litert.probabilities([CONVERTED], np.stack([one.pixels for one in images]))
    assert np.abs(ours - theirs).max() < 0.01
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()
    assert theirs.max() > 0.3


def test_the_default_model_agrees_with_torch(real_store: Path, inputs_224: list[Input]) -> None:
    model = load_model(real_store / "mobilenet_v2_1.0_224.onnx")
    for image, answer in recorded_answers(inputs_224):
        ours = model.probabilities(image.pixels[np.newaxis])[0]
        assert int(ours.argmax()) == answer.class_ids[0], image.name
        assert answer.largest_difference(ours) < FLOAT_TOLERANCE, image.name


@pytest.mark.unmeasured
@pytest.mark.parametrize(("family", "alpha", "resolution"), keras_record.CASES)
def test_a_model_from_a_keras_file_agrees_with_keras(
    family: Family, alpha: float, resolution: int, tmp_path: Path
) -> None:
    case = keras_record.keras_case(family, alpha)
    entry = find(f"{family}_{alpha}_{resolution}_keras")
    [file] = entry.files
    write_named(tmp_path / file, case)
    ours = our_answers(entry.name, tmp_path, tmp_path, keras_record.inputs(resolution))
    for (image, answer), found in zip(case.recorded(), ours, strict=True):
        assert int(found.argmax()) == answer.class_ids[0], image.name
        assert answer.largest_difference(found) < FLOAT_TOLERANCE, image.name
        # small probabilities agree as well as large ones
        assert np.allclose(found[answer.class_ids], answer.probabilities, rtol=1e-3), image.name


@pytest.mark.unmeasured
@pytest.mark.parametrize("change", ["epsilon", "padding"])
@pytest.mark.parametrize(
    ("family", "alpha", "resolution"), [keras_record.CASES[0], keras_record.CASES[4]]
)
def test_the_agreement_with_keras_would_end_with_another_epsilon_or_padding(
    family: Family, alpha: float, resolution: int, change: str, tmp_path: Path
) -> None:
    case = keras_record.keras_case(family, alpha)
    recipe = find(f"{family}_{alpha}_{resolution}_keras").recipe
    eps = 1e-5 if change == "epsilon" else 1e-3
    checkpoint = keras_h5.read(write_named(tmp_path / "weights.h5", case), family, eps=eps)
    if change == "padding":
        recipe = replace(recipe, padding="symmetric")
    path = export(recipe, checkpoint, "fp32", tmp_path)
    [first, *_] = keras_record.inputs(resolution)
    [found] = probabilities(path, [first])
    assert case.recorded()[0][1].largest_difference(found) > FLOAT_TOLERANCE
