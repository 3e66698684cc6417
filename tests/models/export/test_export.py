"""Exported files: valid, self-describing, reproducible, whole or not there, and of known size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from app import __version__
from app.card.card import CARD_KEY, Family, parse_card
from app.model.model import Model, load_model
from models.checkpoints.checkpoint import Checkpoint, LayerWeights
from models.export.export import (
    Recipe,
    check_weights,
    export,
    kernel_shapes,
    predict_file_bytes,
    read_metadata,
    untrained,
)
from models.network.cost import network_cost
from models.zoo.fetch import Fetcher
from models.zoo.zoo import Entry, export_entry, zoo
from tests.exports import random_recipe

FAMILIES: list[tuple[Family, float]] = [
    ("mobilenet_v1", 0.25),
    ("mobilenet_v1", 0.5),
    ("mobilenet_v2", 0.35),
    ("mobilenet_v2", 0.75),
]
LOCAL = [
    entry
    for entry in zoo().values()
    if entry.download_bytes and entry.checkpoint.format != "torchvision"
]


def small(family: Family = "mobilenet_v2", alpha: float = 0.35) -> Recipe:
    return replace(random_recipe(family, alpha, 96), background=False)


def exported(recipe: Recipe, folder: Path) -> Path:
    return export(recipe, untrained(recipe.network()), "fp32", folder)


def photos(count: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(("family", "alpha"), FAMILIES)
def test_every_export_runs_at_every_resolution_and_batch(
    family: Family, alpha: float, tmp_path: Path
) -> None:
    recipe = small(family, alpha)
    model = load_model(exported(recipe, tmp_path))
    channels = recipe.network().shape_of("pool")[0]
    for side in (*range(96, 321, 32), 512):
        images = photos(3, side)
        together = model.probabilities(images)
        assert together.shape == (3, 1000)
        assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
        one_by_one = np.concatenate([model.probabilities(image[None]) for image in images])
        assert np.abs(together - one_by_one).max() <= 1e-5
        assert model.embedding(images).shape == (3, channels)


def test_padding_before_and_after_is_another_network(tmp_path: Path) -> None:
    found = []
    for padding in ("same", "symmetric"):
        recipe = replace(small(), padding=padding, variant=padding)
        found.append(load_model(exported(recipe, tmp_path)).embedding(photos(1, 96)))
    assert np.abs(found[0] - found[1]).max() > 0.01 * np.abs(found[0]).max()


def test_the_background_class_is_not_among_the_answers(tmp_path: Path) -> None:
    recipe = replace(small(), background=True)
    assert recipe.network().shape_of("classifier") == (1001, 1, 1)
    [probabilities] = load_model(exported(recipe, tmp_path)).probabilities(photos(1, 96))
    assert probabilities.shape == (1000,)
    assert 0 < probabilities.sum() < 1


@pytest.mark.parametrize(("family", "alpha"), FAMILIES)
def test_the_card_of_a_file_is_the_card_of_its_recipe(
    family: Family, alpha: float, tmp_path: Path
) -> None:
    recipe = small(family, alpha)
    path = exported(recipe, tmp_path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    metadata = read_metadata(path)
    card = parse_card(metadata[CARD_KEY])
    assert card == recipe.card("fp32")
    assert card.cost == network_cost(recipe.network())
    assert metadata["producer_version"] == __version__
    assert path.name == f"{card.name}.onnx" == f"{family}_{alpha}_96.onnx"


def test_a_name_tells_variant_and_precision_apart() -> None:
    recipe = small()
    assert recipe.name("int8") == "mobilenet_v2_0.35_96_int8"
    assert replace(recipe, variant="qat").name("fp32") == "mobilenet_v2_0.35_96_qat"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (exported(small(), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_random_weights_are_the_same_for_a_seed_and_others_for_another() -> None:
    network = small().network()
    kernels = [untrained(network, seed).layers["stem"].kernel for seed in (0, 0, 1)]
    assert (kernels[0] == kernels[1]).all()
    assert (kernels[0] != kernels[2]).any()


@pytest.mark.parametrize(
    ("family", "alpha"),
    [
        *(("mobilenet_v1", alpha) for alpha in (0.25, 0.5, 0.75, 1.0)),
        *(("mobilenet_v2", alpha) for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    ],
)
def test_the_size_of_a_file_is_known_within_1_percent(
    family: Family, alpha: float, tmp_path: Path
) -> None:
    recipe = small(family, alpha)
    size = exported(recipe, tmp_path).stat().st_size
    assert abs(predict_file_bytes(recipe, "fp32") - size) <= 0.01 * size


@pytest.mark.parametrize("entry", LOCAL, ids=lambda entry: entry.name)
def test_a_real_checkpoint_exports_to_a_file_of_the_predicted_size(
    entry: Entry, published_weights: Path, tmp_path: Path
) -> None:
    fetcher = Fetcher(tmp_path / "cache", (published_weights,), offline=True)
    path = export_entry(entry, fetcher.locate, tmp_path)
    size = path.stat().st_size
    assert abs(predict_file_bytes(entry.recipe, entry.precision) - size) <= 0.01 * size
    model: Model = load_model(path)
    assert model.card == entry.recipe.card(entry.precision)
    assert model.probabilities(photos(1, entry.recipe.resolution)).shape == (1, 1000)


def test_an_export_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    in_the_way = tmp_path / f"{small().name('fp32')}.onnx"
    in_the_way.mkdir()
    with pytest.raises(IsADirectoryError):
        exported(small(), tmp_path)
    assert list(tmp_path.iterdir()) == [in_the_way]


def test_a_new_export_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = exported(small(), tmp_path)
    path.write_bytes(b"old")
    assert exported(small(), tmp_path) == path
    assert list(tmp_path.iterdir()) == [path]
    assert parse_card(read_metadata(path)[CARD_KEY])


def test_weights_of_other_layers_are_rejected_by_name() -> None:
    layers = dict(untrained(small().network()).layers)
    layers["steam"] = layers.pop("stem")
    with pytest.raises(ValueError, match="missing or unknown: steam, stem"):
        check_weights(small().network(), Checkpoint(layers))


def test_weights_of_another_width_are_rejected_by_layer(tmp_path: Path) -> None:
    wide = untrained(small("mobilenet_v2", 1.0).network())
    with pytest.raises(ValueError, match=r"stem: the kernel is \(32, 3, 3, 3\), .* \(16, 3, 3, 3"):
        export(small(), wide, "fp32", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bias_of_another_width_is_rejected_by_layer() -> None:
    layers = dict(untrained(small().network()).layers)
    layers["head"] = LayerWeights(layers["head"].kernel, np.zeros(7, np.float32))
    with pytest.raises(ValueError, match=r"head: the bias is \(7,\), .* \(1280,\)"):
        check_weights(small().network(), Checkpoint(layers))


def test_int8_of_weights_that_are_not_quantised_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not quantised"):
        export(small(), untrained(small().network()), "int8", tmp_path)


def test_kernels_have_the_shapes_of_onnx() -> None:
    shapes = kernel_shapes(small("mobilenet_v1", 0.25).network())
    assert shapes["Conv2d_0"] == (8, 3, 3, 3)
    assert shapes["Conv2d_1_depthwise"] == (8, 1, 3, 3)
    assert shapes["Conv2d_1_pointwise"] == (16, 8, 1, 1)
    assert shapes["classifier"] == (1000, 256, 1, 1)


def test_a_file_that_is_no_onnx_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.onnx"
    path.write_bytes(b"\xff\xd8\xff\xe0 not a graph")
    with pytest.raises(ValueError, match=r"photo\.onnx is not an ONNX file"):
        read_metadata(path)
