"""What is stated on the command line of an import, and how photos are cut where nothing is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from app.card.card import Preprocessing
from app.images.limits import ImageLimits
from models.importing.checks import Refused
from models.importing.dialogue.missing import Questions
from models.importing.dialogue.presets import (
    PRESET_FORMATS,
    PRESETS,
    SQUASHED,
    Preset,
    preset_of,
)
from models.importing.dialogue.trials import LabelledImages, read_photos
from models.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """Names that came with the model, and where they are."""

    names: tuple[str, ...]
    said_by: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What was said on the command line; None where nothing was.

    `file` is what the file itself is like, and `own_labels` are the names that came with it, which
    hold where nothing was said. `questions` collects what neither says. `limits` and `progress` are
    for the photos.
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
    bgr: bool | None = None
    as_stored: bool = False
    activation: str | None = None
    photos: Path | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)
    progress: Progress = no_progress
    file: Preset | None = None
    own_labels: OwnLabels | None = None
    questions: Questions = field(default_factory=Questions, compare=False)

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

    def read_photos(
        self, labels: Sequence[str], side: int, preprocessing: Preprocessing
    ) -> LabelledImages:
        """The labelled photos as a network sees them.

        Raises:
            Refused: they cannot be read.
        """
        assert self.photos is not None  # noqa: S101  only asked for where they are
        return read_photos(self.photos, labels, side, preprocessing, self.limits)

    def by(self, *names: str) -> str:
        """Who says so: the options that were given, and the preset for the others."""
        given = [name for name in names if getattr(self, name) is not None]
        options = [f"--{name.replace('_', '-')}" for name in given]
        if len(given) < len(names) and (preset := self.preset) is not None:
            scaling = set(names) <= {"mean", "std"}
            options.append((preset.scaling_by if scaling else None) or preset.said_by)
        return ", ".join(options)


def choose_preprocessing(choices: Choices) -> Preprocessing:
    """How a photo becomes the square that the graph sees: as said, or else as is usual.

    Raises:
        Refused: a part of it is nothing that the service can do.
    """
    fields = Preprocessing.model_fields
    given = {name: getattr(choices, name) for name in fields if getattr(choices, name) is not None}
    usual = choices.preset.preprocessing if choices.preset else SQUASHED
    try:
        return Preprocessing.model_validate(usual.model_dump() | given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0]).replace("_", "-")
        raise Refused(f"--{name} is {fault['input']!r}: {fault['msg']}") from error
