"""From any ONNX classifier to a model of the store."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import (
    CARD_VERSION,
    ModelCard,
    Origin,
    Precision,
    Preprocessing,
    Resolutions,
)
from models.export.export import set_card
from models.importing import report
from models.importing.checks import AnswersDiffer, Refused
from models.importing.cost import cost_of, precision_of
from models.importing.dialogue.classes import Classes, choose_classes
from models.importing.dialogue.missing import STAND_IN_SIDE, resolution_question
from models.importing.dialogue.options import Choices, choose_preprocessing
from models.importing.dialogue.presets import Preset, usual
from models.importing.dialogue.scaling import Feeding, Input, choose_feeding, stated_scaling
from models.importing.graph.inspect_graph import (
    ImageInput,
    Layout,
    Scores,
    count_classes,
    find_features,
    image_input,
    kind_of_scores,
    score_output,
)
from models.importing.graph.optional_outputs import find_optional_outputs, with_outputs
from models.importing.graph.own_scaling import own_scaling
from models.importing.graph.verify import (
    JUDGED,
    TOLERANCE,
    Original,
    Runner,
    judged_images,
    largest_difference,
    noise,
    sizes_that_run,
    to_probabilities,
)
from models.importing.graph.walk_back import Trail
from models.importing.graph.wrap import Plan, simplify, wrap
from models.importing.report import Adoption, Finding
from models.importing.source import Judge, Source, onnx_source
from models.network import resolution as resolutions
from models.onnx_cost.graph_cost import GraphCostError, check_graph_resolution

ALIKE = 1e-6
CLOSE = 0.5  # share of the tolerance within which there is no need for another translation
USUAL: dict[Layout, Preset] = {
    "nchw": usual("torchvision", "usual for PyTorch"),
    "nhwc": usual("keras", "usual for Keras"),
}


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """The wrapped graph as it passed the comparison."""

    model: onnx.ModelProto
    runner: Runner
    difference: float
    any_batch: bool
    alike: bool


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
        try:
            return _adopt(path, choices, name, source, licence, origin)
        except AnswersDiffer:
            if origin.otherwise is None:
                raise
            other = replace(origin, model=origin.otherwise(), otherwise=None)
            return _adopt(path, choices, name, source, licence, other)


def _adopt(
    path: Path,
    choices: Choices,
    name: str | None,
    source: str | None,
    licence: str | None,
    origin: Source,
) -> Adoption:
    foreign = origin.model
    image = image_input(foreign.graph, choices)
    choices = replace(
        choices,
        file=choices.file or origin.preset or USUAL[image.layout],
        own_labels=choices.own_labels or origin.labels,
    )
    output = score_output(foreign.graph, choices)
    resolution = _resolution(image, choices, origin.resolution)
    trail = Trail(foreign.graph)
    features = find_features(trail, output)
    runner = Runner(with_outputs(foreign, features.value))
    pixels = noise(resolution)
    unscaled = Original(runner, image, None, (output, features.value))
    classes = count_classes(unscaled.answers(pixels[:1])[0])

    own = own_scaling(foreign.graph, image.name)
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
    original = replace(unscaled, scaling=feeding.scaling, bgr=feeding.bgr)
    scores, feature_values = original.answers(pixels)
    scores_kind = kind_of_scores(trail, output, scores.reshape(len(scores), -1))
    if origin.judge is not None:
        share = 1 if origin.otherwise is None else CLOSE
        _judge(origin.judge, original, resolution, scores_kind, share)
    if feature_values.ndim not in (2, 4):
        shape = list(feature_values.shape)
        raise Refused(
            f"The last layer reads {shape}, which is neither a feature vector nor a feature map."
        )
    plan = Plan(
        image=image,
        scaling=feeding.scaling,
        bgr=feeding.bgr,
        output=output,
        scores=scores_kind,
        score_axes=scores.ndim,
        classes=classes,
        background=names.background,
        features=features,
        feature_shape=feature_values.shape,
        optional=find_optional_outputs(foreign, original, pixels, scores_kind, features),
    )
    expected = to_probabilities(scores, scores_kind)[:, int(names.background) :]
    precision = precision_of(foreign.graph)
    wrapped = _wrap(foreign, plan, precision, pixels, expected)
    sizes = [resolution]
    if not image.fixed:
        sizes = sizes_that_run(wrapped.runner, resolution, (len(names.labels), plan.channels))
    try:
        cost, known = cost_of(wrapped.model, resolution, precision, origin.folded)
    except GraphCostError as error:
        raise Refused(f"The cost cannot be determined: {error}") from error
    card = ModelCard(
        card_version=CARD_VERSION,
        name=report.chosen_name(name, path, choices.questions),
        family=known.family if known else "other",
        alpha=known.alpha if known else None,
        resolution=resolution,
        resolutions=Resolutions(minimum=sizes[0], maximum=sizes[-1], step=resolutions.STEP),
        channels=3,
        precision=precision,
        precision_origin="publisher_int8" if precision == "int8" else "float",
        labels=names.labels,
        background=0 if names.background else None,
        head_activation="sigmoid" if scores_kind == "sigmoid" else "softmax",
        preprocessing=preprocessing,
        accuracy=None,
        origin=Origin(
            kind="imported",
            source=source or f"the file {path.name}",
            files=origin.files,
            licence=licence,
        ),
        base_sha256=None,
        cost=cost,
        quantization=None,
        measured=(),
    )
    set_card(wrapped.model, card)
    findings = _findings(origin, card, plan, choices, names, wrapped, feeding)
    return Adoption(card, wrapped.model, findings, feeding.trials)


def _scores(original: Original, background: bool) -> Callable[[Uint8Array], Float32Array]:
    """The scores of a class each, in whatever kind; a single one is that of class 1."""

    def scores(pixels: Uint8Array) -> Float32Array:
        flat: Float32Array = original.answers(pixels)[0].reshape(len(pixels), -1)
        if flat.shape[1] == 1:
            flat = np.concatenate([1 - flat, flat], axis=1)
        return flat[:, int(background) :]

    return scores


def _judge(judge: Judge, original: Original, resolution: int, kind: Scores, share: float) -> None:
    """Hold the translated graph against the framework that the file was made for.

    `share` is what may be used up of its tolerance.

    Raises:
        AnswersDiffer: they differ.
    """
    pixels = judged_images(resolution)
    found = to_probabilities(original.answers(pixels)[0], kind)
    expected = to_probabilities(judge.scores(original.fed(pixels)), kind)
    difference = float(abs(expected - found).max())
    if not difference <= share * judge.tolerance:
        text = (
            f"The translated graph is {difference:.2g} off what {judge.name} answers, so it is not "
            f"adopted. {judge.advice}"
        )
        raise AnswersDiffer(text.rstrip())
    top = np.sort(expected, axis=1)[:, -2:]
    clear = np.ptp(top, axis=1) > judge.tolerance
    if (expected.argmax(axis=1) != found.argmax(axis=1))[clear].any():
        raise AnswersDiffer(
            f"The translated graph finds another class than {judge.name}, so it is not adopted."
        )


def _wrap(
    foreign: onnx.ModelProto,
    plan: Plan,
    precision: Precision,
    pixels: Uint8Array,
    expected: Float32Array,
) -> _Wrapped:
    """The wrapped graph, with a free batch if it answers to a batch as to its images.

    It does not if its author fixed the batch for good, or if it quantises what it is given by the
    range of the whole batch.
    """
    reason = ""
    for free_batch in (True, False):
        model = wrap(foreign, plan, free_batch=free_batch)
        try:
            if precision == "fp32":  # a quantised graph is left as its author tuned it
                model = simplify(model)
            runner = Runner(model)
            difference = largest_difference(runner, expected, pixels, together=free_batch)
        except Refused as error:
            reason = str(error)
            continue
        if difference <= TOLERANCE:
            alike = bool(np.ptp(expected, axis=0).max() < ALIKE)
            return _Wrapped(model, runner, difference, free_batch, alike)
        reason = f"the wrapped graph is {difference:.2g} off the original"
    raise Refused(f"The model cannot run one image at a time: {reason}")


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


def _findings(
    origin: Source,
    card: ModelCard,
    plan: Plan,
    choices: Choices,
    names: Classes,
    wrapped: _Wrapped,
    feeding: Feeding,
) -> tuple[Finding, ...]:
    image = plan.image
    element = "uint8" if image.uint8 else "float32"
    preprocessing_by = choices.by(*Preprocessing.model_fields)
    compared = f"{len(noise(8))} images, original and wrapped"
    rows = [
        ("file", origin.title, "what is in it"),
        ("input", f"{image.name}: {element}, {image.layout.upper()}", "the graph"),
        ("scaling", report.scaling_text(plan.scaling), feeding.scaling_by),
        ("channels", report.channels_text(plan.image.channels, plan.bgr), feeding.order_by),
        ("resolution", str(card.resolution), _resolution_by(image, choices, origin)),
        ("takes", str(card.resolutions), "the graph" if image.fixed else "tried"),
        ("batch", "any" if wrapped.any_batch else "1", "tried"),
        ("preprocessing", report.preprocessing_text(card.preprocessing), preprocessing_by),
        ("scores", f"{plan.output}: {plan.scores}", "its last layers and their values"),
        ("classes", report.classes_text(names), "a run"),
        ("labels", report.labels_text(names.labels), names.said_by),
        ("embedding", f"{plan.channels} values", _pooling(plan)),
        ("outputs", ", ".join(plan.outputs), "the graph and a run"),
        ("precision", card.precision, "the graph"),
        ("family", report.family_text(card), "every layer's shape"),
        ("parameters", f"{card.cost.params:,}", "the graph"),
        ("multiply-adds", f"{card.cost.madds:,}", "the graph"),
        ("difference", f"{wrapped.difference:.1e}", compared),
    ]
    if wrapped.alike:
        warning = f"{len(noise(8))} different images get the same answer: is it trained?"
        rows.append(("warning", warning, compared))
    if origin.judge is not None:
        judged = f"{JUDGED} images, the file and its translation"
        rows.append(("judged by", origin.judge.name, judged))
    elif origin.unjudged is not None:
        rows.append(("judged by", "nobody", origin.unjudged))
    return tuple(Finding(*row) for row in rows)


def _resolution_by(image: ImageInput, choices: Choices, origin: Source) -> str:
    if image.fixed:
        return "the graph"
    return "the file" if choices.resolution is None and origin.resolution else "--resolution"


def _pooling(plan: Plan) -> str:
    if plan.pools_here:
        return "no pooled features before the classes: the mean of the map they are made of"
    if plan.features.pooled_by:
        return f"pooled features ({plan.features.pooled_by})"
    return "what the last layer reads; not pooled"
