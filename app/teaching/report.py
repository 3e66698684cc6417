"""What teaching found out: the numbers and photos to look at before a head is trusted."""

from typing import Literal

from pydantic import BaseModel, Field

Share = float  # 0 to 1


class Record(BaseModel, frozen=True, extra="forbid"):
    """A frozen part of the report."""


class ClassResult(Record):
    """One class in cross-validation. `recall` is the share of its photos that came out right."""

    label: str
    photos: int
    recall: Share | None
    rejected_when_left_out: Share | None = Field(
        description="Share of its photos that are unknown to a head that was not taught the class."
    )


class WrongPhoto(Record):
    """A photo that cross-validation got wrong, with the probability of the wrong class."""

    file: str
    label: str
    predicted: str
    probability: Share


class SkippedFile(Record):
    file: str
    reason: str


class FormResult(Record):
    """The accuracy of a head on one form of the base, in cross-validation."""

    base: str
    accuracy: Share | None


class TeachingReport(Record):
    """How a head was taught.

    accuracy           share of photos right when their fold was held out, with its 95 % interval;
                       near-duplicates are always in one fold. None if a class has but one group
    confusion          photos by label (row) and predicted class (column), same photos
    calibration_error  expected calibration error of the probabilities, 0 to 1, same photos
    near_duplicates    groups of photos that show nearly the same
    forms              every form of the base that was tried; the first is the one chosen
    false_alarm        share of photos that are unknown when neither the references nor the
                       threshold has their group of near-duplicates, which counts as one photo
    """

    base: str
    forms: tuple[FormResult, ...]
    labels: tuple[str, ...]
    classes: tuple[ClassResult, ...]
    photos: int
    views: int
    folds: int
    strength: float
    temperature: float
    accuracy: Share | None
    interval: tuple[Share, Share] | None
    confusion: tuple[tuple[int, ...], ...] | None
    calibration_error: Share | None
    worst: tuple[WrongPhoto, ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    skipped: tuple[SkippedFile, ...]
    false_alarm: Share | None
    warnings: tuple[str, ...]
    seconds: float
    version: Literal[1] = 1
