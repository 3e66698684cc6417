"""From a file of weights to a model of the store, with the family's own graph around them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from app.card.card import (
    PROBABILITIES,
    ModelCard,
    Origin,
    Precision,
    Preprocessing,
    SourceFile,
)
from models.checkpoints.checkpoint import Affine
from models.export.export import Recipe, build, set_card
from models.export.graph import InputScaling
from models.files.hashes import sha256_of
from models.importing import report
from models.importing.checks import Refused
from models.importing.graph.verify import Runner, noise
from models.importing.options import (
    Choices,
    Classes,
    choose_classes,
    choose_preprocessing,
    choose_scaling,
    preset_of,
)
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
    "tflite_float": ("TFLite, float", "TFLite"),
    "tflite_quantized": ("TFLite, quantised", "TFLite"),
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
    _, habits = TITLES[network.format]
    preset = preset_of(network.format, f"usual for {habits}")
    if network.scaling is not None:
        preset = replace(preset, scaling=network.scaling)
    choices = replace(choices, file=preset)
    integers = network.checkpoint.quantization
    precision: Precision = "int8" if integers else "fp32"
    resolution = _resolution(network, choices)
    scaling = choose_scaling(choices, uint8=integers is not None)
    if integers:
        scaling = scaling_of(integers.activations[INPUT])
    assert scaling is not None  # noqa: S101  there is one for floats
    classes = len(network.checkpoint.layers["classifier"].bias)
    if classes < 2:
        raise Refused("The model has one score. At least two classes are needed.")
    names = choose_classes(choices, classes)
    recipe = Recipe(
        family=network.family,
        alpha=network.alpha,
        resolution=resolution,
        variant=None,
        padding=formats()[network.format].padding,
        scaling=scaling,
        preprocessing=choose_preprocessing(choices),
        background=names.background,
        accuracy=None,
        origin=Origin(
            kind="imported",
            source=source or f"the file {path.name}",
            files=(SourceFile(name=path.name, sha256=sha256_of(path)),),
            licence=licence,
        ),
        labels=names.labels,
        design=network.design,
        integer_weights=integers is not None,
    )
    model = build(recipe, network.checkpoint, precision)
    card = recipe.card(precision).model_copy(update={"name": report.chosen_name(name, path)})
    _try_out(model, resolution)
    set_card(model, card)
    return Adoption(card, model, _findings(network, recipe, card, choices, names))


def scaling_of(image: Affine) -> InputScaling:
    """What a quantised input makes of a pixel: scale * (pixel - zero point)."""
    return InputScaling((image.zero_point / 255,) * 3, (1 / (255 * image.scale),) * 3)


def _resolution(network: IdentifiedWeights, choices: Choices) -> int:
    found, asked = network.resolution, choices.resolution
    if found is None and asked is None:
        raise Refused(
            "The file does not state the trained resolution. "
            "Give it with --resolution, such as 224."
        )
    if network.fixed and asked not in (None, found):
        raise Refused(f"The resolution is fixed at {found}, not {asked}. Remove --resolution.")
    resolution = asked or found or 0
    try:
        check_resolution(resolution)
    except ValueError as error:
        hint = "" if asked or network.fixed else " Give the nearest one with --resolution."
        raise Refused(f"{error}{hint}") from error
    return resolution


def _try_out(model: onnx.ModelProto, resolution: int) -> None:
    """Refuse weights that are finite one by one and overflow together."""
    onnx.checker.check_model(model, full_check=True)
    [found] = Runner(model).run([PROBABILITIES], **{INPUT: noise(resolution)})
    if not np.isfinite(found).all():
        raise Refused("The outputs are not finite: the weights are damaged.")


def _findings(
    network: IdentifiedWeights, recipe: Recipe, card: ModelCard, choices: Choices, names: Classes
) -> tuple[Finding, ...]:
    shapes = "every layer's shape"
    title, habits = TITLES[network.format]
    said = (choices.like, choices.mean, choices.std)
    of_file = network.scaling is not None and not any(said)
    own_scaling = "the file" if of_file or card.precision == "int8" else choices.by("mean", "std")
    preprocessing_by = choices.by(*Preprocessing.model_fields)
    rows = [
        ("file", title, "what is in it"),
        ("family", report.family_text(card), shapes),
        ("resolution", str(card.resolution), "--resolution" if choices.resolution else "the file"),
        ("takes", str(card.resolutions), "the family"),
        ("padding", recipe.padding, habits),
        ("scaling", report.scaling_text(recipe.scaling), own_scaling),
        ("preprocessing", report.preprocessing_text(card.preprocessing), preprocessing_by),
        ("scores", "softmax of the last layer", "the family"),
        ("classes", report.classes_text(names), "the last layer's shape"),
        ("labels", report.labels_text(names.labels), names.said_by),
        ("precision", card.precision, "the weights"),
        ("parameters", f"{card.cost.params:,}", shapes),
        ("multiply-adds", f"{card.cost.madds:,}", shapes),
    ]
    return tuple(Finding(*row) for row in rows)
