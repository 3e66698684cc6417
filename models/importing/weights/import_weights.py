"""From a file of weights to a model of the store, with the family's own graph around them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import (
    PROBABILITIES,
    ModelCard,
    Origin,
    Preprocessing,
    SourceFile,
)
from models.checkpoints.checkpoint import Checkpoint, LayerWeights
from models.export.export import Recipe, build, kernel_shapes, set_card
from models.export.graph import InputScaling
from models.files.hashes import sha256_of
from models.importing import report
from models.importing.checks import Refused
from models.importing.dialogue.classes import Classes, choose_classes
from models.importing.dialogue.missing import STAND_IN_SIDE, resolution_question
from models.importing.dialogue.options import Choices, choose_preprocessing
from models.importing.dialogue.presets import published, usual
from models.importing.dialogue.scaling import Feeding, Input, choose_feeding, stated_scaling
from models.importing.dialogue.trials import CENTRED
from models.importing.graph.verify import Runner, noise
from models.importing.report import Adoption, Finding
from models.importing.weights.identify import IdentifiedWeights, Kind, identify
from models.network.network import INPUT
from models.network.resolution import check_resolution
from models.zoo.zoo import formats

# what a file is, and whose habits it is taken to have, by the name of its format in the zoo
TITLES = {
    "torchvision": ("torch weights, named as in torchvision", "torchvision"),
    "timm_v1": ("torch weights, named as in timm", "timm"),
    "timm_v2": ("torch weights, named as in timm", "timm"),
    "keras": ("Keras weights", "Keras"),
}


def adopt_checkpoint(
    path: Path,
    kind: Kind,
    choices: Choices,
    name: str | None = None,
    source: str | None = None,
    licence: str | None = None,
) -> Adoption:
    """Read weights, build their network, run it, and write its card.

    Raises:
        Refused: the weights are not the family's or do not run, or something has to be said that
            no file of weights says.
    """
    if choices.layout or choices.output:
        option = "--layout" if choices.layout else "--output"
        raise Refused(
            f"{option} applies to ONNX files only, and {path.name} contains weights. Remove it."
        )
    network = identify(path, kind)
    files = (SourceFile(name=path.name, sha256=sha256_of(path)),)
    origin = Origin(
        kind="imported",
        source=source or f"the file {path.name}",
        files=files,
        licence=licence,
    )
    _, habits = TITLES[network.format]
    preset = choices.file or published(files) or usual(network.format, f"usual for {habits}")
    with choices.questions.in_one_message():
        return _adopt(path, network, replace(choices, file=preset), name, origin)


def _adopt(
    path: Path, network: IdentifiedWeights, choices: Choices, name: str | None, origin: Origin
) -> Adoption:
    resolution = choose_resolution(choices)
    classes = len(network.checkpoint.layers["classifier"].bias)
    if classes < 2:
        raise Refused("The model has one score. At least two classes are needed.")
    taken = Input(uint8=False)
    stated = stated_scaling(choices, taken)
    preprocessing = choose_preprocessing(choices)
    names = choose_classes(choices, classes, path)
    recipe = Recipe(
        family=network.family,
        alpha=network.alpha,
        resolution=resolution,
        variant=None,
        padding=formats()[network.format].padding,
        scaling=CENTRED,
        preprocessing=preprocessing,
        background=names.background,
        accuracy=None,
        origin=origin,
        labels=names.labels,
        design=network.design,
    )
    feeding = choose_feeding(
        choices,
        taken,
        stated,
        lambda: choices.read_photos(names.labels, resolution, preprocessing),
        lambda way: _probabilities(_build(recipe, network.checkpoint, way.scaling, way.bgr)),
    )
    model = _build(recipe, network.checkpoint, feeding.scaling, feeding.bgr)
    chosen = report.chosen_name(name, path, choices.questions)
    card = recipe.card("fp32").model_copy(update={"name": chosen})
    _try_out(model, resolution)
    set_card(model, card)
    findings = _findings(network, recipe, card, choices, names, feeding)
    return Adoption(card, model, findings, feeding.trials)


def _build(
    recipe: Recipe, checkpoint: Checkpoint, scaling: InputScaling | None, bgr: bool
) -> onnx.ModelProto:
    """The network for pixels in red, green, blue, whatever order it was trained on."""
    assert scaling is not None  # noqa: S101  weights take floats
    if bgr:
        first = next(iter(kernel_shapes(recipe.network())))
        weights = checkpoint.layers[first]
        kernel = np.ascontiguousarray(weights.kernel[:, ::-1])
        layers = {**checkpoint.layers, first: LayerWeights(kernel, weights.bias)}
        checkpoint = replace(checkpoint, layers=layers)
    return build(replace(recipe, scaling=scaling), checkpoint, "fp32")


def _probabilities(model: onnx.ModelProto) -> Callable[[Uint8Array], Float32Array]:
    runner = Runner(model)
    return lambda pixels: runner.run([PROBABILITIES], **{INPUT: pixels})[0]


def choose_resolution(choices: Choices) -> int:
    if choices.resolution is None:
        question = resolution_question("the file does not state the trained resolution.")
        return choices.questions.ask(question, STAND_IN_SIDE)
    try:
        check_resolution(choices.resolution)
    except ValueError as error:
        raise Refused(str(error)) from error
    return choices.resolution


def _try_out(model: onnx.ModelProto, resolution: int) -> None:
    """Refuse weights that are finite one by one and overflow together."""
    onnx.checker.check_model(model, full_check=True)
    [found] = Runner(model).run([PROBABILITIES], **{INPUT: noise(resolution)})
    if not np.isfinite(found).all():
        raise Refused("The outputs are not finite: the weights are damaged.")


def _findings(
    network: IdentifiedWeights,
    recipe: Recipe,
    card: ModelCard,
    choices: Choices,
    names: Classes,
    feeding: Feeding,
) -> tuple[Finding, ...]:
    shapes = "every layer's shape"
    title, habits = TITLES[network.format]
    preprocessing_by = choices.by(*Preprocessing.model_fields)
    rows = [
        ("file", title, "what is in it"),
        ("family", report.family_text(card), shapes),
        ("resolution", str(card.resolution), "--resolution"),
        ("takes", str(card.resolutions), "the family"),
        ("padding", recipe.padding, habits),
        ("scaling", report.scaling_text(feeding.scaling), feeding.scaling_by),
        ("channels", report.channels_text(3, feeding.bgr), feeding.order_by),
        ("preprocessing", report.preprocessing_text(card.preprocessing), preprocessing_by),
        ("scores", "softmax of the last layer", "the family"),
        ("classes", report.classes_text(names), "the last layer's shape"),
        ("labels", report.labels_text(names.labels), names.said_by),
        ("precision", card.precision, "the weights"),
        ("parameters", f"{card.cost.params:,}", shapes),
        ("multiply-adds", f"{card.cost.madds:,}", shapes),
    ]
    return tuple(Finding(*row) for row in rows)
