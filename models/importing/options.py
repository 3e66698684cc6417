"""What a graph does not say of itself, and a person has to: scaling, preprocessing, class names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.card.card import Preprocessing
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.importing.labels import read_labels
from models.zoo.imagenet import imagenet_labels
from models.zoo.zoo import formats

IMAGENET = "imagenet"
PRESET_FORMATS = {  # names of --like: formats of the zoo
    "torchvision": "torchvision",
    "torchvision_v2": "torchvision_v2",
    "keras": "keras",
    "tflite": "tflite_float",
    "timm": "timm_v2",
    "timm_v1": "timm_v1",
}
PRESETS = ", ".join(PRESET_FORMATS)
BACKGROUND_NAMES = {"background", "dummy", "__background__"}


@dataclass(frozen=True, slots=True)
class Preset:
    """How the networks of one project were trained.

    `said_by` is who says so, `scaling` None where their files differ in it; `background` is True
    where class 0 of 1001 is "nothing". `scaling_by` is who says the scaling, if somebody else does.
    """

    said_by: str
    scaling: InputScaling | None
    preprocessing: Preprocessing
    background: bool
    scaling_by: str | None = None


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """Names that came with the model, and where they are."""

    names: tuple[str, ...]
    said_by: str


def preset_of(record: str, said_by: str) -> Preset:
    """What the checkpoints of a format of the zoo have in common."""
    kind = formats()[record]
    return Preset(said_by, kind.scaling, kind.preprocessing, kind.background)


@dataclass(frozen=True, slots=True)
class Choices:
    """What was said on the command line; None where nothing was.

    `file` is what the file itself is like, and `own_labels` are the names that came with it, which
    hold where nothing was said.
    """

    like: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str | None = None
    crop_fraction: float | None = None
    interpolation: str | None = None
    labels: str | None = None
    background: bool | None = None
    layout: str | None = None
    resolution: int | None = None
    output: str | None = None
    file: Preset | None = None
    own_labels: OwnLabels | None = None

    @property
    def preset(self) -> Preset | None:
        """What `like` stands for, or else the file.

        Raises:
            Refused: there is no such preset.
        """
        if self.like is None:
            return self.file
        if self.like not in PRESET_FORMATS:
            raise Refused(f"Unknown preset {self.like!r}. Supported: {PRESETS}.")
        return preset_of(PRESET_FORMATS[self.like], f"--like {self.like}")

    def by(self, *names: str) -> str:
        """Who says so: the options that were given, and the preset for the others."""
        given = [name for name in names if getattr(self, name) is not None]
        options = [f"--{name.replace('_', '-')}" for name in given]
        if len(given) < len(names) and (preset := self.preset) is not None:
            scaling = set(names) <= {"mean", "std"}
            options.append((preset.scaling_by if scaling else None) or preset.said_by)
        return ", ".join(options)


def choose_scaling(
    choices: Choices, uint8: bool, own: InputScaling | None = None
) -> InputScaling | None:
    """The scaling in front of a network; None for one that takes pixels as they are.

    `own` is what a network has to be fed that scales pixels itself.

    Raises:
        Refused: it is not said, said twice, or out of range.
    """
    given = {"mean": choices.mean, "std": choices.std}
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if uint8:
        if named:
            raise Refused(
                f"The model reads uint8 pixels and scales them itself. Remove {named[0]}."
            )
        return None
    if own is not None:
        if named:
            raise Refused(
                "The model scales pixels itself, in front of its first layer. "
                f"Remove {named[0]}, with which they would be scaled twice."
            )
        return own
    preset = choices.preset
    if preset is not None and preset.scaling is None:
        preset = None
    if preset is None and len(named) < 2:
        raise Refused(
            "A graph does not state the scaling of its float input. Give --like "
            f"({PRESETS}), or --mean and --std of pixel / 255. Most networks are trained with "
            "--mean 0.5 --std 0.5 (-1 ... 1) or --mean 0 --std 1 (pixel / 255)."
        )
    said = {name: _channels(name, value) for name, value in given.items() if value is not None}
    usual = preset.scaling if preset else None
    scaling = replace(usual, **said) if usual else InputScaling(**said)
    if not all(0 <= value <= 1 for value in scaling.mean):
        raise Refused(f"--mean is {list(scaling.mean)}; it must be from 0 to 1, for pixel / 255.")
    if not all(0 < value <= 1 for value in scaling.std):
        raise Refused(
            f"--std is {list(scaling.std)}; it must be above 0 and at most 1, for pixel / 255."
        )
    return scaling


def choose_preprocessing(choices: Choices) -> Preprocessing:
    """How a photo becomes the square that the graph sees.

    Raises:
        Refused: a part of it is not said, or is nothing that the service can do.
    """
    fields = Preprocessing.model_fields
    given = {name: getattr(choices, name) for name in fields if getattr(choices, name) is not None}
    preset = choices.preset
    known: dict[str, Any] = preset.preprocessing.model_dump() if preset else {}
    if missing := [f"--{name.replace('_', '-')}" for name in fields if name not in known | given]:
        raise Refused(
            f"A graph does not state its preprocessing. Give --like ({PRESETS}), "
            f"or {', '.join(missing)}."
        )
    try:
        return Preprocessing.model_validate(known | given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0]).replace("_", "-")
        raise Refused(f"--{name} is {fault['input']!r}: {fault['msg']}") from error


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes that are served; `background` is True if class 0 is left out."""

    labels: tuple[str, ...]
    background: bool
    said_by: str


def choose_classes(choices: Choices, classes: int) -> Classes:
    """Names for the `classes` scores of a network.

    Raises:
        Refused: they are not said, or are not as many.
    """
    preset = choices.preset
    background = choices.background
    if background is None:
        background = preset is not None and preset.background and classes == 1001
    wanted = classes - background
    own = choices.own_labels if choices.labels is None else None
    source = choices.labels or (own.said_by if own else IMAGENET if choices.like else None)
    if source is None:
        raise Refused(
            f"The file does not name its {classes} classes. Give --labels FILE "
            f"(one name per line, or JSON), or --labels {IMAGENET}."
        )
    if own is not None:
        labels = own.names
    else:
        labels = imagenet_labels() if source == IMAGENET else read_labels(Path(source))
    if len(labels) == wanted + 1 and labels[0].lower() in BACKGROUND_NAMES:
        labels = labels[1:]
    if len(labels) != wanted:
        hint = ""
        if len(labels) == wanted - 1 and not background:
            hint = " If class 0 is a background class, add --background."
        elif choices.labels is None:
            hint = " Name the classes with --labels FILE."
        raise Refused(
            f"The model has {wanted} classes{' and a background' if background else ''}, "
            f"{source} has {len(labels)} names.{hint}"
        )
    return Classes(labels, background, own.said_by if own else choices.by("labels"))


def _channels(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    if len(values) != 3:
        raise Refused(f"--{name} must be one number, or three for red, green and blue.")
    return values[0], values[1], values[2]
