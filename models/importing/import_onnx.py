"""From any ONNX classifier to a model of the store."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import CARD_VERSION, ModelCard, Origin, Preprocessing, Resolutions
from models.export.export import set_card
from models.importing import report
from models.importing.checks import Refused
from models.importing.cost import cost_of, precision_of
from models.importing.dialogue.classes import Classes, choose_classes
from models.importing.dialogue.missing import STAND_IN_SIDE, resolution_question
from models.importing.dialogue.options import Choices, choose_preprocessing
from models.importing.dialogue.presets import Preset, usual
from models.importing.dialogue.scaling import Feeding, Input, choose_feeding, stated_scaling
from models.importing.findings import findings_of
from models.importing.graph.inspect_graph import (
    ImageInput,
    Layout,
    count_classes,
    find_features,
    image_input,
    kind_of_scores,
    score_output,
)
from models.importing.graph.optional_outputs import find_optional_outputs, with_outputs
from models.importing.graph.own_scaling import own_scaling
from models.importing.graph.verify import (
    Original,
    Runner,
    noise,
    sizes_that_run,
    to_probabilities,
)
from models.importing.graph.walk_back import Trail
from models.importing.graph.wrap import Plan
from models.importing.graph.wrapped import Wrapped, wrapped_graph
from models.importing.judges.compare import check_answers
from models.importing.report import Adoption
from models.importing.source import Source, onnx_source
from models.network import resolution as resolutions
from models.onnx_cost.graph_cost import GraphCostError, check_graph_resolution

USUAL: dict[Layout, Preset] = {
    "nchw": usual("torchvision", "usual for PyTorch"),
    "nhwc": usual("keras", "usual for Keras"),
}


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of a graph, by its file or on the command line."""

    names: Classes
    preprocessing: Preprocessing
    feeding: Feeding


def adopt(
    path: Path,
    choices: Choices,
    name: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    origin: Source | None = None,
) -> Adoption:
    """Look at a graph, wrap it, compare both, and write its card.

    `origin` is what was read of a file that is not ONNX.

    Raises:
        Refused: it cannot be adopted, or something has to be said that no graph says.
    """
    with choices.questions.in_one_message():
        origin = origin or onnx_source(path, choices)
        foreign = origin.model
        image = image_input(foreign.graph, choices)
        choices = replace(
            choices,
            file=choices.file or origin.preset or USUAL[image.layout],
            own_labels=choices.own_labels or origin.labels,
        )
        output = score_output(foreign.graph, choices)
        resolution = _resolution(image, choices, origin.resolution)
        features = find_features(Trail(foreign.graph), output)
        runner = Runner(with_outputs(foreign, features.value))
        unscaled = Original(runner, image, None, (output, features.value))
        said = _said(path, choices, origin, unscaled, resolution)
        original = replace(unscaled, scaling=said.feeding.scaling, bgr=said.feeding.bgr)
        plan, wrapped, judged = _checked(origin, original, said.names, resolution)
        chosen = report.chosen_name(name, path, choices.questions)
        made_of = Origin(
            kind="imported",
            source=source or f"the file {path.name}",
            files=origin.files,
            licence=licence,
        )
        card = _card(chosen, origin, plan, said, wrapped, resolution, made_of)
        set_card(wrapped.model, card)
        found = findings_of(origin, card, plan, choices, said.names, wrapped, said.feeding, judged)
        return Adoption(card, wrapped.model, found, said.feeding.trials)


def _said(
    path: Path, choices: Choices, origin: Source, unscaled: Original, resolution: int
) -> _Said:
    image = unscaled.image
    classes = count_classes(unscaled.answers(noise(resolution)[:1])[0])
    own = own_scaling(origin.model.graph, image.name)
    taken = Input(image.uint8, own, origin.no_pixels, image.channels == 1)
    stated = stated_scaling(choices, taken)
    preprocessing = choose_preprocessing(choices)
    names = choose_classes(choices, max(classes, 2), path)
    feeding = choose_feeding(
        choices,
        taken,
        stated,
        lambda: choices.read_photos(names.labels, resolution, preprocessing),
        lambda way: _scores(replace(unscaled, scaling=way.scaling, bgr=way.bgr), names.background),
    )
    return _Said(names, preprocessing, feeding)


def _scores(original: Original, background: bool) -> Callable[[Uint8Array], Float32Array]:
    """The scores of a class each, in whatever kind; a single one is that of class 1."""

    def scores(pixels: Uint8Array) -> Float32Array:
        flat: Float32Array = original.answers(pixels)[0].reshape(len(pixels), -1)
        if flat.shape[1] == 1:
            flat = np.concatenate([1 - flat, flat], axis=1)
        return flat[:, int(background) :]

    return scores


def _checked(
    origin: Source, original: Original, names: Classes, resolution: int
) -> tuple[Plan, Wrapped, float | None]:
    """The graph with the service's inputs and outputs, which answers as the file does.

    The number is the largest difference that the file's own framework found, if it was asked.
    """
    foreign, output = origin.model, original.outputs[0]
    trail, pixels = Trail(foreign.graph), noise(resolution)
    features = find_features(trail, output)
    scores, feature_values = original.answers(pixels)
    scores_kind = kind_of_scores(trail, output, scores.reshape(len(scores), -1))
    judged = None
    if origin.judge is not None:
        judged = check_answers(origin.judge, original, resolution, scores_kind)
    if feature_values.ndim not in (2, 4):
        shape = list(feature_values.shape)
        raise Refused(
            f"The last layer reads {shape}, which is neither a feature vector nor a feature map."
        )
    plan = Plan(
        image=original.image,
        scaling=original.scaling,
        bgr=original.bgr,
        output=output,
        scores=scores_kind,
        score_axes=scores.ndim,
        classes=count_classes(scores[:1]),
        background=names.background,
        features=features,
        feature_shape=feature_values.shape,
        optional=find_optional_outputs(foreign, original, pixels, scores_kind, features),
    )
    expected = to_probabilities(scores, scores_kind)[:, int(names.background) :]
    precision = precision_of(foreign.graph)
    return plan, wrapped_graph(foreign, plan, precision, pixels, expected), judged


def _resolution(image: ImageInput, choices: Choices, trained: int | None) -> int:
    side = image.height or trained or choices.resolution
    if side is None:
        question = resolution_question(
            "the input takes any size, and the file does not state the trained one."
        )
        return choices.questions.ask(question, STAND_IN_SIDE, tentative=True)
    if choices.resolution not in (None, side):
        raise Refused(
            f"The input is fixed at {side} pixels; resolution {choices.resolution} is not possible."
        )
    try:
        check_graph_resolution(side)
    except GraphCostError as error:
        raise Refused(str(error)) from error
    return side


def _card(
    name: str,
    origin: Source,
    plan: Plan,
    said: _Said,
    wrapped: Wrapped,
    resolution: int,
    made_of: Origin,
) -> ModelCard:
    sizes, labels = [resolution], said.names.labels
    if not plan.image.fixed:
        sizes = sizes_that_run(wrapped.runner, resolution, (len(labels), plan.channels))
    precision = precision_of(origin.model.graph)
    try:
        cost, known = cost_of(wrapped.model, resolution, precision, origin.folded)
    except GraphCostError as error:
        raise Refused(f"The cost cannot be determined: {error}") from error
    return ModelCard(
        card_version=CARD_VERSION,
        name=name,
        family=known.family if known else "other",
        alpha=known.alpha if known else None,
        resolution=resolution,
        resolutions=Resolutions(minimum=sizes[0], maximum=sizes[-1], step=resolutions.STEP),
        channels=3,
        precision=precision,
        precision_origin="publisher_int8" if precision == "int8" else "float",
        labels=labels,
        background=0 if said.names.background else None,
        head_activation="sigmoid" if plan.scores == "sigmoid" else "softmax",
        preprocessing=said.preprocessing,
        accuracy=None,
        origin=made_of,
        base_sha256=None,
        cost=cost,
        quantization=None,
        measured=(),
    )
