"""What is told of an adopted file: each thing, its value, and how it is known."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

from app.card.card import NAME, ModelCard, Preprocessing
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.options import Classes
from models.zoo.zoo import zoo

MOST_REPEATED = 3  # names that are told


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is known of a file, and how."""

    what: str
    value: str
    known_by: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """A finished model with its card, and what was found on the way."""

    card: ModelCard
    model: onnx.ModelProto
    findings: tuple[Finding, ...]


def chosen_name(name: str | None, path: Path) -> str:
    """The asked name, or the file's own in the letters that a name may have.

    Raises:
        Refused: it cannot be a name, or is that of a zoo model.
    """
    stem = path.stem.lower().removesuffix(".weights")  # x.weights.h5
    return free_name(name or re.sub(r"[^a-z0-9_.\-]+", "_", stem).strip("_.-")[:100])


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
