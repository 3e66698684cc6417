"""Recipes: the same INT8 file on every machine, without photos."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.card.card import CARD_KEY, Measurement, parse_card
from app.model import self_test
from app.model.model import load_model
from models.commands.cli import commands
from models.export.export import read_metadata, replace_card
from models.export.exported import Exported, read_exported
from models.quantization.quantize import free_name_for
from models.recipes.file import sha256_as_made, write_from_recipe
from models.recipes.recipe import Recipe, RecipeError, as_text, read_recipe
from models.zoo.fetch import Fetcher
from models.zoo.zoo import DEFAULT_MODEL, RECIPES, Entry, export_entry, find, is_current, zoo
from tests.conftest import ROOT
from tests.exports import export_random

OF_ZOO = [entry for entry in zoo().values() if entry.int8_recipe]
LOCAL = [entry.name for entry in OF_ZOO if entry.checkpoint.format == "tflite_float"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a float model and four photos."""
    folder = tmp_path_factory.mktemp("small")
    export_random(folder, "mobilenet_v2", 0.1, 96).rename(folder / "m.onnx")
    random = np.random.default_rng(3)
    for index in range(4):
        coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
        coarse.resize((140, 100)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def model(small: Path) -> Exported:
    return read_exported(small / "m.onnx")


@pytest.fixture(scope="module")
def recipe(small: Path) -> Recipe:
    """The recipe that `models quantize` writes of it."""
    path = small / "r.json"
    outcome = CliRunner().invoke(
        commands,
        ["quantize", "m", "--calibration", str(small), "--store", str(small), "--images", "8",
         "--method", "equalized", "--recipe", str(path)],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    return read_recipe(path)


def test_a_recipe_makes_the_file_of_the_quantization_that_wrote_it(
    recipe: Recipe, model: Exported, small: Path, tmp_path: Path
) -> None:
    made = write_from_recipe(model, recipe, tmp_path).read_bytes()
    assert made == (small / f"{model.card.name}_ptq.onnx").read_bytes()
    assert sha256(made).hexdigest() == recipe.file_sha256
    assert recipe.report.calibration_images == 8
    photos = [*recipe.calibration_photos, *recipe.comparison_photos]
    assert {photo.sha256 for photo in photos} == {
        sha256((small / f"{index}.png").read_bytes()).hexdigest() for index in range(4)
    }
    (tmp_path / "again.json").write_text(as_text(recipe), "utf-8")
    assert read_recipe(tmp_path / "again.json") == recipe


def altered(recipe: Recipe, path: tuple[str, ...], value: Any) -> Recipe:
    data = recipe.model_dump(mode="json")
    inner = data
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return Recipe.model_validate(data)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        pytest.param(("activations", "stem"), (0.5, 3), "made a file with SHA-256", id="range"),
        pytest.param(("activations", "roof"), (0.5, 3), "unknown: roof", id="unknown"),
        pytest.param(("factors", "classifier"), (32,), "unknown: classifier", id="factors"),
        pytest.param(("factors", "stem"), (32,), "channels and the recipe 1", id="channels"),
        pytest.param(("layers", "stem", "scales"), "AAAA!", "cannot be read", id="base64"),
        pytest.param(("layers", "stem", "scales"), "AAAAAA==", "not above 0", id="zero"),
        pytest.param(("checkpoint",), [{"name": "w", "sha256": None}], "belongs to w", id="other"),
    ],
)
def test_a_recipe_that_makes_another_file_is_rejected(
    recipe: Recipe, model: Exported, tmp_path: Path, path: tuple[str, ...], value: Any, reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason):
        write_from_recipe(model, altered(recipe, path, value), tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_file_that_is_no_recipe_is_rejected_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("{}", "utf-8")
    with pytest.raises(RecipeError, match=r"r\.json is not a recipe: recipe_version"):
        read_recipe(path)


@pytest.mark.parametrize("name", LOCAL)
def test_a_model_of_the_zoo_is_the_file_that_its_recipe_states(
    name: str, published_weights: Path, tmp_path: Path
) -> None:
    entry = find(name)
    path = export_entry(
        entry, Fetcher(tmp_path, (published_weights,), offline=True).locate, tmp_path
    )
    assert entry.int8_recipe
    assert sha256(path.read_bytes()).hexdigest() == entry.int8_recipe.file_sha256


# Every instruction set that NumPy chooses among on x86 and on ARM, so that its baseline is left.
PLAIN = "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX ASIMDHP ASIMDDP SVE"


@pytest.mark.parametrize("features", ["", PLAIN])
def test_the_default_model_is_the_file_that_its_recipe_states_on_any_processor(
    real_store: Path, tmp_path: Path, features: str
) -> None:
    name = f"{DEFAULT_MODEL}_ptq"
    code = f"""
from pathlib import Path
from models.commands.cli import commands
from models.export.exported import read_exported
from models.quantization.quantize import free_name_for
from models.recipes.file import write_from_recipe
from models.recipes.recipe import read_recipe
float_model = read_exported(Path({str(real_store / f"{DEFAULT_MODEL}.onnx")!r}))
write_from_recipe(float_model, read_recipe(Path({str(RECIPES / f"{name}.json")!r})), Path("."))
"""
    settings = {"NPY_DISABLE_CPU_FEATURES": features, "OPENBLAS_CORETYPE": "Prescott"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(settings if features else {})}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=environment, check=True
    )
    path = tmp_path / f"{name}.onnx"
    entry = find(name)
    assert entry.int8_recipe
    assert sha256(path.read_bytes()).hexdigest() == entry.int8_recipe.file_sha256
    assert is_current(entry, tmp_path)


def test_a_file_stays_current_when_its_accuracy_is_measured(
    recipe: Recipe, model: Exported, tmp_path: Path
) -> None:
    path = write_from_recipe(model, recipe, tmp_path)
    card = parse_card(read_metadata(path)[CARD_KEY])
    known = Measurement(resolution=96, top1=50, top5=75, images=4, photos="mine")
    replace_card(path, card.model_copy(update={"measured": (known,)}))
    assert sha256(path.read_bytes()).hexdigest() != recipe.file_sha256
    assert sha256_as_made(path) == recipe.file_sha256
    replace_card(path, card.model_copy(update={"resolution": 128}))
    assert sha256_as_made(path) != recipe.file_sha256


def test_a_model_of_ones_own_photos_does_not_take_the_name_of_the_zoo(tmp_path: Path) -> None:
    zoo_card = find(DEFAULT_MODEL).recipe.card("fp32")
    own_card = zoo_card.model_copy(update={"name": "door"})
    assert free_name_for(own_card, None, None) == "door_ptq"
    assert free_name_for(zoo_card, None, None) == f"{DEFAULT_MODEL}_own_ptq"
    assert free_name_for(zoo_card, None, tmp_path / "r.json") == f"{DEFAULT_MODEL}_ptq"
    with pytest.raises(ValueError, match="is the name of a model of the zoo"):
        free_name_for(zoo_card, f"{DEFAULT_MODEL}_ptq", None)


@pytest.mark.parametrize("entry", OF_ZOO, ids=lambda entry: entry.name)
def test_a_recipe_of_the_zoo_tells_where_it_comes_from(entry: Any) -> None:
    found = read_recipe(RECIPES / f"{entry.name}.json")
    assert found.name == entry.name
    assert found.checkpoint == entry.recipe.origin.files
    assert len(found.calibration_photos) >= 20
    assert not {photo.sha256 for photo in found.calibration_photos} & {
        photo.sha256 for photo in found.comparison_photos
    }
    card = entry.recipe.card(entry.precision)
    assert card.precision_origin == "post_training_int8"
    assert card.quantization.device is None
    assert (RECIPES / f"{entry.name}.json").stat().st_size < 300_000


def test_the_file_has_a_self_test_that_the_service_finds_and_passes(
    recipe: Recipe, model: Exported, tmp_path: Path
) -> None:
    made = load_model(write_from_recipe(model, recipe, tmp_path))
    assert self_test.obstacle(made) is None
    mirrored = made.embedding(self_test.image(96)[:, :, ::-1])
    assert recipe.self_test
    assert self_test.deviation(mirrored, recipe.self_test) > self_test.TOLERANCE


@pytest.mark.parametrize("entry", OF_ZOO, ids=lambda entry: entry.name)
def test_every_recipe_of_the_zoo_has_a_self_test(entry: Entry) -> None:
    assert entry.int8_recipe
    assert entry.int8_recipe.self_test
