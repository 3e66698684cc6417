"""What is told of an adopted file: each thing, its value, and how it is known."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

from app.card.card import NAME, ModelCard, Preprocessing
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.dialogue.classes import Classes
from models.importing.dialogue.missing import Answer, Question, Questions
from models.importing.dialogue.trials import Trial
from models.zoo.zoo import zoo

NAME_LENGTH = 100
MOST_REPEATED = 3  # names that are told


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is known of a file, and how."""

    what: str
    value: str
    known_by: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """A finished model with its card, what was found on the way, and what was tried on photos."""

    card: ModelCard
    model: onnx.ModelProto
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...] = ()


def chosen_name(name: str | None, path: Path, questions: Questions) -> str:
    """The asked name, or the file's own in the letters that a name may have.

    Raises:
        Refused: the asked name cannot be a name, or is that of a zoo model.
    """
    if name is not None:
        return free_name(name)
    stem = path.stem.lower().removesuffix(".weights")  # x.weights.h5
    own = re.sub(r"[^a-z0-9_.\-]+", "_", stem).strip("_.-")[:NAME_LENGTH]
    try:
        return free_name(own)
    except Refused as error:
        free = f"my_{own}"[:NAME_LENGTH]
        answers = (Answer(f"--name {free}", "or any other name"),)
        return questions.ask(Question("--name", str(error), answers), free)


def free_name(chosen: str) -> str:
    """The same name, if a model of one's own may have it.

    Raises:
        Refused: it cannot be a name, or is that of a zoo model.
    """
    if not re.fullmatch(NAME, chosen):
        raise Refused(
            f"Invalid name {chosen!r}. "
            "Choose a --name of lowercase letters, digits, '_', '.' and '-'."
        )
    if chosen in zoo():
        raise Refused(f"{chosen} is the name of a model of the zoo. Choose another with --name.")
    return chosen


def scaling_text(scaling: InputScaling | None) -> str:
    """How pixels are scaled; None is a graph that takes them as they are."""
    if scaling is None:
        return "none: it takes pixels"
    mean, std = (_channels(values) for values in (scaling.mean, scaling.std))
    return f"(pixel / 255 - {mean}) / {std}"


def channels_text(channels: int, bgr: bool) -> str:
    if channels == 1:
        return "grey"
    return "blue, green, red" if bgr else "red, green, blue"


def preprocessing_text(cut: Preprocessing) -> str:
    return f"{cut.resize}, crop {cut.crop_fraction:g}, {cut.interpolation}"


def classes_text(names: Classes) -> str:
    count = len(names.labels) + names.background
    return f"{count} with a background" if names.background else str(count)


def labels_text(labels: tuple[str, ...]) -> str:
    """How many, the ends, and a warning of names that several classes have (ImageNet's do)."""
    text = f"{len(labels)}: {labels[0]} ... {labels[-1]}"
    repeated = [name for name, count in Counter(labels).items() if count > 1]
    for name in repeated[:MOST_REPEATED]:
        ids = ", ".join(str(at) for at, label in enumerate(labels) if label == name)
        text += f"\n{name!r} is the name of classes {ids}"
    if (more := len(repeated) - MOST_REPEATED) > 0:
        text += f"\nand {more} more names"
    return text


def family_text(card: ModelCard) -> str:
    return card.family if card.alpha is None else f"{card.family}, alpha {card.alpha:g}"


def _channels(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else str(tuple(round(x, 4) for x in values))
