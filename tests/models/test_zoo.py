"""The published checkpoints as records, and exporting them."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from pydantic import ValidationError

from app.card import CARD_KEY
from models import resolution as resolutions
from models.checkpoints.canonical import CheckpointError
from models.fetch import Fetcher
from models.zoo import (
    DEFAULT_MODEL,
    ZOO_FILE,
    Entry,
    PackageOrigin,
    Zoo,
    ZooError,
    export_entry,
    find,
    formats,
    is_current,
    zoo,
)
from tests.exports import export_random

ENTRIES = list(zoo().values())
Table = dict[str, Any]


def table() -> Table:
    return tomllib.loads(ZOO_FILE.read_text("utf-8"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_a_model_that_can_be_exported(entry: Entry) -> None:
    card = entry.recipe.card(entry.precision)
    assert card.name == entry.name
    assert card.resolution in resolutions.ALL
    assert card.precision == entry.precision
    assert len(card.labels) == 1000
    assert card.origin.licence in ("Apache-2.0", "BSD-3-Clause")
    assert [file.name for file in card.origin.files] == list(entry.files)
    assert entry.download_bytes == sum(file.file_bytes for file in entry.files.values())
    assert (card.accuracy is None) == (entry.recipe.variant == "qat")


def test_every_model_has_a_name_of_its_own() -> None:
    assert len(ENTRIES) == sum(len(checkpoint["models"]) for checkpoint in table()["checkpoints"])


def test_every_file_is_part_of_a_checkpoint() -> None:
    used = {name for checkpoint in table()["checkpoints"] for name in checkpoint["files"]}
    assert used == set(table()["files"])


def test_the_default_model_comes_from_a_package_first() -> None:
    entry = find(DEFAULT_MODEL)
    [file] = entry.files.values()
    assert isinstance(file.origins[0], PackageOrigin)
    assert entry.recipe.padding == "symmetric"
    assert not entry.recipe.background


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.name != DEFAULT_MODEL], ids=lambda e: e.name
)
def test_the_files_beside_the_checkout_are_those_that_are_pinned(
    entry: Entry, shared_weights: Path, tmp_path: Path
) -> None:
    if missing := [name for name in entry.files if not (shared_weights / name).is_file()]:
        pytest.skip(f"{shared_weights} has no {', '.join(missing)}")
    for path, file in zip(
        Fetcher(tmp_path, (shared_weights,), offline=True).locate(entry),
        entry.files.values(),
        strict=True,
    ):
        assert path.stat().st_size == file.file_bytes


def test_an_unknown_model_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(ZooError) as caught:
        find("resnet_50")
    assert "no model 'resnet_50'" in str(caught.value)
    assert all(name in str(caught.value) for name in zoo())


FILE = "mobilenet_v1_0.25_128.tflite"


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
        pytest.param(without("files", FILE, "sha256"), "sha256", id="no hash"),
        pytest.param(having("0" * 63, "files", FILE, "sha256"), "sha256", id="short hash"),
        pytest.param(having("A" * 64, "files", FILE, "sha256"), "sha256", id="capitals in hash"),
        pytest.param(having(0, "files", FILE, "file_bytes"), "file_bytes", id="empty file"),
        pytest.param(having("x", "files", FILE, "mirror"), "mirror", id="unknown field"),
        pytest.param(having([{"url": "here"}], "files", FILE, "origins"), "url", id="no address"),
        pytest.param(without("files", FILE), f"no such file: {FILE}", id="no such file"),
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
def test_a_record_with_a_missing_unknown_or_bad_field_is_refused(
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
def test_a_file_that_is_no_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no weights here")
    with pytest.raises(CheckpointError):
        export_entry(find(name), lambda _: [path], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_exporting_an_entry_makes_it_current(shared_weights: Path, tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128_int8")
    assert not is_current(entry, tmp_path)
    path = export_entry(entry, Fetcher(tmp_path, (shared_weights,), offline=True).locate, tmp_path)
    assert path == tmp_path / f"{entry.name}.onnx"
    assert is_current(entry, tmp_path)


def test_a_file_of_another_making_is_not_current(tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128")
    path = export_random(tmp_path, "mobilenet_v1", 0.25, 128)
    assert path == tmp_path / f"{entry.name}.onnx"
    assert not is_current(entry, tmp_path)
    path.write_bytes(b"\xff\xd8\xff\xe0 not a graph")
    assert not is_current(entry, tmp_path)


def test_a_file_of_another_version_is_not_current(tmp_path: Path) -> None:
    entry = find("mobilenet_v1_0.25_128")
    model = onnx.load(export_random(tmp_path, "mobilenet_v1", 0.25, 128))
    helper.set_model_props(model, {CARD_KEY: entry.recipe.card("fp32").model_dump_json()})
    onnx.save(model, tmp_path / f"{entry.name}.onnx")
    assert is_current(entry, tmp_path)
    model.producer_version = "0.0.0"
    onnx.save(model, tmp_path / f"{entry.name}.onnx")
    assert not is_current(entry, tmp_path)
