"""What is told of an imported graph: each thing that was found, and how it is known."""

from app.card.card import ModelCard, Preprocessing
from models.importing import report
from models.importing.dialogue.classes import Classes
from models.importing.dialogue.options import Choices
from models.importing.dialogue.scaling import Feeding
from models.importing.graph.inspect_graph import ImageInput
from models.importing.graph.verify import IMAGES, JUDGED
from models.importing.graph.wrap import Plan
from models.importing.graph.wrapped import Wrapped
from models.importing.report import Finding
from models.importing.source import Source


def findings_of(
    origin: Source,
    card: ModelCard,
    plan: Plan,
    choices: Choices,
    names: Classes,
    wrapped: Wrapped,
    feeding: Feeding,
    judged_difference: float | None,
) -> tuple[Finding, ...]:
    """All findings, in the order in which they are told.

    `judged_difference` is what the judge found, if there is one.
    """
    image = plan.image
    element = "uint8" if image.uint8 else "float32"
    preprocessing_by = choices.by(*Preprocessing.model_fields)
    compared = f"{IMAGES} images, original and wrapped"
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
        warning = f"{IMAGES} different images get the same answer: is it trained?"
        rows.append(("warning", warning, compared))
    if origin.judge is not None:
        judged = f"{JUDGED} images, the file and its translation: {judged_difference:.1e} apart"
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
