"""Exported models give the answers of the frameworks that their weights come from."""

from pathlib import Path

import numpy as np
import pytest

from app.model import load_model
from models.fetch import Fetcher
from models.zoo import export_entry, find, zoo
from tests.models.fidelity import litert
from tests.models.fidelity.inputs import Input, packaged_inputs, photo_inputs
from tests.models.fidelity.torch_record import recorded_answers

FLOAT_TOLERANCE = 1e-4
INT8_TOLERANCE = 0.02

FLOAT = [
    name
    for name, entry in zoo().items()
    if entry.precision == "fp32" and entry.checkpoint.format == "tflite_float" and entry.pinned
]
INT8 = [name for name, entry in zoo().items() if entry.precision == "int8" and entry.pinned]


@pytest.fixture(scope="module")
def inputs_224(shared_photos: Path) -> list[Input]:
    return [*packaged_inputs(), *photo_inputs(shared_photos)]


def our_answers(name: str, weights: Path, store: Path, images: list[Input]) -> np.ndarray:
    """Probabilities [N, 1000] of the exported model, an image at a time as the service does."""
    path = export_entry(find(name), Fetcher(store, (weights,), offline=True).locate, store)
    model = load_model(path)
    return np.concatenate([model.probabilities(one.pixels[np.newaxis]) for one in images])


def litert_answers(name: str, weights: Path, images: list[Input]) -> np.ndarray:
    """Probabilities [N, 1000] of the interpreter, the background class left out."""
    paths = [weights / file for file in find(name).files]
    return litert.probabilities(paths, np.stack([one.pixels for one in images]))[:, 1:]


def photos_at(resolution: int, photos: Path) -> list[Input]:
    return [*packaged_inputs(resolution), *photo_inputs(photos, resolution)]


@pytest.mark.parametrize("name", FLOAT)
def test_a_float_model_agrees_with_litert(
    name: str, shared_weights: Path, shared_photos: Path, tmp_path: Path
) -> None:
    images = photos_at(find(name).recipe.resolution, shared_photos)
    assert len(images) >= 20
    ours = our_answers(name, shared_weights, tmp_path, images)
    assert np.abs(ours - litert_answers(name, shared_weights, images)).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize("name", INT8)
def test_an_int8_model_agrees_with_litert_and_has_the_same_first_class(
    name: str, shared_weights: Path, shared_photos: Path, tmp_path: Path
) -> None:
    images = photos_at(find(name).recipe.resolution, shared_photos)
    ours = our_answers(name, shared_weights, tmp_path, images)
    theirs = litert_answers(name, shared_weights, images)
    assert np.abs(ours - theirs).max() < INT8_TOLERANCE
    best = theirs.max(axis=1)
    # LiteRT rounds to 1/256, so its first class can be shared by two.
    assert np.allclose(theirs[np.arange(len(best)), ours.argmax(axis=1)], best)


def test_the_default_model_agrees_with_torch(real_store: Path, inputs_224: list[Input]) -> None:
    model = load_model(real_store / "mobilenet_v2_1.0_224.onnx")
    for image, answer in recorded_answers(inputs_224):
        ours = model.probabilities(image.pixels[np.newaxis])[0]
        assert int(ours.argmax()) == answer.class_ids[0], image.name
        assert answer.largest_difference(ours) < FLOAT_TOLERANCE, image.name
