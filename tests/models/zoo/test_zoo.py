"""The published checkpoints as records, and exporting them."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from pydantic import ValidationError

from app.card.card import CARD_KEY, Measurement, parse_card
from models.evaluation.card_accuracy import write_accuracy
from models.export.export import read_metadata
from models.network import resolution as resolutions
from models.zoo.fetch import Fetcher
from models.zoo.records import PackageOrigin, UrlOrigin, Zoo
from models.zoo.zoo import (
    DEFAULT_MODEL,
    RECIPES,
    ZOO_FILE,
    Entry,
    WrongWeights,
    ZooError,
    export_entry,
    find,
    formats,
    is_current,
    with_exact_integers,
    zoo,
)
from tests.exports import export_random

ENTRIES = list(zoo().values())
Table = dict[str, Any]


def table() -> Table:
    return tomllib.loads(ZOO_FILE.read_text("utf-8"))


@pytest.mark.unmeasured
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_a_model_that_can_be_exported(entry: Entry) -> None:
    card = entry.recipe.card(entry.precision)
    assert card.name == entry.name
    assert card.resolution in resolutions.RESOLUTIONS
    assert card.precision == entry.precision
    assert len(card.labels) == 1000
    assert card.origin.licence in ("Apache-2.0", "BSD-3-Clause")
    assert [file.name for file in card.origin.files] == list(entry.files)
    sizes = [file.file_bytes for file in entry.files.values() if file.file_bytes]
    assert entry.download_bytes == (sum(sizes) if len(sizes) == len(entry.files) else None)
    assert entry.pinned or entry.download_bytes is None
    assert (card.accuracy is None) == (entry.recipe.variant == "qat" or bool(entry.int8_recipe))


def test_every_model_has_a_name_of_its_own() -> None:
    checkpoints = Zoo.model_validate(table()).all_checkpoints()
    made = sum(len(checkpoint.models) for checkpoint in checkpoints)
    assert len(ENTRIES) == made + len(list(RECIPES.glob("*.json")))


def test_every_file_is_part_of_a_checkpoint() -> None:
    zoo_table = Zoo.model_validate(table())
    used = {name for checkpoint in zoo_table.all_checkpoints() for name in checkpoint.files}
    assert used == set(zoo_table.all_files())


GRID = {
    "family": "mobilenet_v1",
    "format": "tflite_float",
    "file": "v1_{alpha}_{resolution}.tflite",
    "licence": "Apache-2.0",
    "origins": [{"url": "https://weights.example/{resolution}/{file}"}],
    "alpha_spelling": {"0.5": "half"},
    "models": [{"precision": "fp32"}, {"precision": "fp32", "variant": "other"}],
    "tables": [
        {"source": "a paper", "rows": [[1.0, 224, 70.0, 90.0], [0.5, 160]]},
        {"source": "a page", "rows": [[0.5, 128, 50.0, 70.0]]},
    ],
}


def with_grid(**changes: Any) -> Zoo:
    return Zoo.model_validate({**table(), "grids": [{**GRID, **changes}]})


def test_a_row_of_a_grid_is_a_checkpoint() -> None:
    made = with_grid()
    first, second, third = [
        one for one in made.all_checkpoints() if one.files[0] in made.grids[0].files()
    ]
    assert (first.alpha, first.resolution, first.source) == (1.0, 224, "a paper")
    assert [(one.variant, one.top1, one.top5) for one in first.models] == [
        (None, 70.0, 90.0),
        ("other", None, None),
    ]
    assert [one.files for one in (first, second, third)] == [
        ("v1_1.0_224.tflite",), ("v1_half_160.tflite",), ("v1_half_128.tflite",),
    ]  # fmt: skip
    assert second.models[0].top1 is None
    assert third.source == "a page"


def test_a_file_of_a_grid_is_pinned_by_a_record_of_its_name() -> None:
    name, own = "v1_half_128.tflite", "https://mirror.example/here"
    pin = {"sha256": "a" * 64, "file_bytes": 5, "licence": "MIT", "origins": [{"url": own}]}
    data = table()
    data["files"][name] = pin
    files = Zoo.model_validate({**data, "grids": [GRID]}).all_files()
    assert files[name].pinned
    assert not files["v1_half_160.tflite"].pinned
    published = "https://weights.example/128/v1_half_128.tflite"
    assert [str(o.url) for o in files[name].origins if isinstance(o, UrlOrigin)] == [own, published]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"file": "{width}.tflite"}, "which a grid does not have"),
        ({"file": "{}.tflite"}, "which a grid does not have"),
        ({"origins": [{"url": "http://weights.example/{file}"}]}, "must be https"),
        ({"origins": [{"address": "{file}"}]}, "address"),
        ({"tables": []}, "tables"),
        ({"models": []}, "models"),
        ({"format": "npz"}, "unknown format 'npz'"),
        (
            {"tables": [{"source": "x", "rows": [[1.0, 224, 101.0, 90.0]]}]},
            "less than or equal to 100",
        ),
        ({"tables": [{"source": "x", "rows": [[1.0, 224, 1.0, 1.0, 1.0]]}]}, "rows"),
    ],
)
def test_a_grid_with_a_bad_field_is_rejected(changes: Table, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        with_grid(**changes)


def test_the_default_model_comes_from_a_package_first() -> None:
    entry = find(DEFAULT_MODEL)
    [file] = entry.files.values()
    assert isinstance(file.origins[0], PackageOrigin)
    assert entry.recipe.padding == "symmetric"
    assert not entry.recipe.background


@pytest.mark.parametrize(
    "entry",
    [
        entry
        for entry in ENTRIES
        if entry.download_bytes and entry.checkpoint.format != "torchvision"
    ],
    ids=lambda entry: entry.name,
)
def test_the_files_beside_the_checkout_are_those_that_are_pinned(
    entry: Entry, published_weights: Path, tmp_path: Path
) -> None:
    for path, file in zip(
        Fetcher(tmp_path, (published_weights,), offline=True).locate(entry),
        entry.files.values(),
        strict=True,
    ):
        assert path.stat().st_size == file.file_bytes


@pytest.mark.parametrize(
    ("name", "near"),
    [("mobilenet_v2_0.35_69_keras", "mobilenet_v2_0.35_96_keras"), ("resnet_50", DEFAULT_MODEL)],
)
def test_an_unknown_model_is_an_error_that_has_similar_ones(name: str, near: str) -> None:
    with pytest.raises(ZooError) as caught:
        find(name)
    assert f"Unknown model {name!r}" in str(caught.value)
    assert f"\n  {near}\n" in str(caught.value)
    assert f"models list` shows all {len(zoo())}." in str(caught.value)


FILE = "mobilenet_v1_0.25_128.tflite"
ALONE = "mobilenet_v2_1.0_224_quant.tflite"


def without(*path: str | int) -> Callable[[Table], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


def having(value: Any, *path: str | int) -> Callable[[Table], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(without("files", FILE, "sha256"), "give both or neither", id="no hash"),
        pytest.param(having("npz", "formats", "torchvision", "reader"), "reader", id="no reader"),
        pytest.param(having("0" * 63, "files", FILE, "sha256"), "sha256", id="short hash"),
        pytest.param(having("A" * 64, "files", FILE, "sha256"), "sha256", id="capitals in hash"),
        pytest.param(having(0, "files", FILE, "file_bytes"), "file_bytes", id="empty file"),
        pytest.param(having("x", "files", FILE, "mirror"), "mirror", id="unknown field"),
        pytest.param(having([{"url": "here"}], "files", FILE, "origins"), "url", id="no address"),
        pytest.param(without("files", ALONE), f"unknown files: {ALONE}", id="no such file"),
        pytest.param(without("sources", "tflite_float"), "tflite_float", id="no source"),
        pytest.param(without("formats", "torchvision"), "torchvision", id="no format"),
        pytest.param(without("checkpoints", 0, "alpha"), "alpha", id="no alpha"),
        pytest.param(having("resnet", "checkpoints", 0, "family"), "family", id="other family"),
        pytest.param(having("npz", "checkpoints", 0, "format"), "format", id="unknown format"),
        pytest.param(having([], "checkpoints", 0, "models"), "models", id="no models"),
        pytest.param(having([], "checkpoints", 0, "files"), "files", id="no files"),
        pytest.param(having({}, "extra"), "extra", id="unknown table"),
    ],
)
def test_a_record_with_a_missing_unknown_or_bad_field_is_rejected(
    change: Callable[[Table], None], text: str
) -> None:
    data = table()
    assert Zoo.model_validate(data)
    change(data)
    with pytest.raises(ValidationError, match=text):
        Zoo.model_validate(data)


def test_formats_say_what_the_weights_were_trained_on() -> None:
    assert formats()["tflite_float"].scaling.mean == (0.5, 0.5, 0.5)
    assert formats()["torchvision"].scaling.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("name", [DEFAULT_MODEL, "mobilenet_v1_0.25_128"])
def test_a_file_that_is_no_checkpoint_is_rejected(name: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no weights here")
    with pytest.raises(WrongWeights, match=f"{path} cannot be made into {name}: photo.jpg"):
        export_entry(find(name), lambda _: [path], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_exporting_an_entry_makes_it_current(published_weights: Path, tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128_int8")
    assert not is_current(entry, tmp_path)
    path = export_entry(
        entry, Fetcher(tmp_path, (published_weights,), offline=True).locate, tmp_path
    )
    assert path == tmp_path / f"{entry.name}.onnx"
    assert is_current(entry, tmp_path)


def test_exact_integers_are_another_file_of_the_same_name(
    published_weights: Path, tmp_path: Path
) -> None:
    entry = find("mobilenet_v1_0.25_128_int8")
    exact = with_exact_integers(entry)
    locate = Fetcher(tmp_path, (published_weights,), offline=True).locate
    path = export_entry(exact, locate, tmp_path)
    assert parse_card(read_metadata(path)[CARD_KEY]).precision_origin == "publisher_int8"
    assert (is_current(exact, tmp_path), is_current(entry, tmp_path)) == (True, False)
    assert export_entry(entry, locate, tmp_path) == path
    assert (is_current(exact, tmp_path), is_current(entry, tmp_path)) == (False, True)


def test_a_model_without_integers_of_its_publisher_has_no_exact_form() -> None:
    with pytest.raises(ZooError, match=r"publisher's integers\..*mobilenet_v1_0.25_128_int8"):
        with_exact_integers(find("mobilenet_v1_0.25_128_qat"))


def test_what_was_measured_of_a_model_leaves_it_current(
    published_weights: Path, tmp_path: Path
) -> None:
    entry = find("mobilenet_v1_0.25_128_int8")
    path = export_entry(
        entry, Fetcher(tmp_path, (published_weights,), offline=True).locate, tmp_path
    )
    one = Measurement(resolution=128, top1=50.0, top5=75.0, images=4, photos="photos")
    write_accuracy(path, [one])
    assert parse_card(read_metadata(path)[CARD_KEY]).measured
    assert is_current(entry, tmp_path)


def test_a_file_of_another_making_is_not_current(tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128")
    path = export_random(tmp_path, "mobilenet_v1", 0.25, 128)
    assert path == tmp_path / f"{entry.name}.onnx"
    assert not is_current(entry, tmp_path)
    path.write_bytes(b"\xff\xd8\xff\xe0 not a graph")
    assert not is_current(entry, tmp_path)


def test_a_file_without_the_newer_outputs_is_not_current(tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128")
    path = export_random(tmp_path, "mobilenet_v1", 0.25, 128)
    model = onnx.load(path)
    del model.graph.output[2:]
    helper.set_model_props(model, {CARD_KEY: entry.recipe.card("fp32").model_dump_json()})
    onnx.save(model, path)
    assert not is_current(entry, tmp_path)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("mobilenet_v2_1.0_224", "float"),
        ("mobilenet_v2_1.0_224_int8", "publisher_int8_per_channel"),
        ("mobilenet_v2_1.0_224_qat", "float_of_int8"),
    ],
)
def test_a_card_says_how_its_precision_came_about(name: str, origin: str) -> None:
    entry = find(name)
    card = entry.recipe.card(entry.precision)
    assert card.precision_origin == origin
    assert card.background == (None if origin == "float" else 0)


def test_a_file_of_another_version_is_not_current(tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128")
    model = onnx.load(export_random(tmp_path, "mobilenet_v1", 0.25, 128))
    helper.set_model_props(model, {CARD_KEY: entry.recipe.card("fp32").model_dump_json()})
    onnx.save(model, tmp_path / f"{entry.name}.onnx")
    assert is_current(entry, tmp_path)
    model.producer_version = "0.0.0"
    onnx.save(model, tmp_path / f"{entry.name}.onnx")
    assert not is_current(entry, tmp_path)
