"""Teach a head: fit it to embedded photos, and find out how good it is."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.card.card import ModelCard
from app.heads.card import head_card
from app.heads.head import UNKNOWN, Head
from app.teaching.classifier import Lessons, cross_validate, fit_all
from app.teaching.embedded_photos import EmbeddedPhotos, TeachingError
from app.teaching.findings import Findings
from app.teaching.folds import assign_folds
from app.teaching.near_duplicates import group_near_duplicates
from app.teaching.rejection import fit_rejection
from app.teaching.report import FormResult, TeachingReport

MAX_VIEWS = 4
MANY_PHOTOS = 300  # beyond, closer views cost more time than they gain
VIEWS_OF_MANY = 2
MAX_INT8_LOSS = 0.01  # of accuracy, for which INT8 still serves: it takes half the time
UNTESTED_STRENGTH = 0.01  # where cross-validation cannot choose: right for 5 to 50 photos a class


@dataclass(frozen=True, slots=True)
class Taught:
    head: Head
    report: TeachingReport


def views_for(photos: int) -> int:
    """How many views of each photo pay off."""
    return MAX_VIEWS if photos <= MANY_PHOTOS else VIEWS_OF_MANY


def teach(
    photos: EmbeddedPhotos, base: ModelCard, base_sha256: str, name: str, folder: Path
) -> Taught:
    """Fit a head called `name` for the base model with this card and file hash.

    `folder` is what the report's file names are relative to.

    Raises:
        TeachingError: a label is reserved.
    """
    if UNKNOWN in photos.labels:
        raise TeachingError(
            f"The label `{UNKNOWN}` is reserved for images that resemble no taught photo. Call the "
            "folder `none` instead."
        )
    began = time.perf_counter()
    targets, units = photos.targets, photos.units[:, 0]
    groups = group_near_duplicates(units)
    lessons = Lessons.of(photos.units, targets, len(photos.labels))
    folds = assign_folds(targets, groups)
    validation = cross_validate(lessons, folds) if folds.max() else None
    classifier = fit_all(lessons, validation.strength if validation else UNTESTED_STRENGTH)
    if validation:
        classifier = classifier.with_temperature(validation.temperature)
    rejection = fit_rejection(units, groups, targets, validation.logits if validation else None)
    references = rejection.references if rejection else np.empty((0, units.shape[1]), np.float32)
    head = Head(
        card=head_card(base, base_sha256, name, photos.labels, references),
        weights=classifier.weights.astype(np.float32),
        bias=classifier.bias.astype(np.float32),
        references=references,
        threshold=rejection.threshold if rejection else -1.0,
    )
    findings = Findings(photos, groups, validation, folder)
    report = TeachingReport(
        base=base.name,
        forms=(FormResult(base=base.name, accuracy=findings.accuracy()),),
        labels=photos.labels,
        photos=len(photos.photos),
        views=photos.units.shape[1],
        folds=int(folds.max()) + 1,
        strength=validation.strength if validation else UNTESTED_STRENGTH,
        temperature=validation.temperature if validation else 1.0,
        classes=findings.classes(),
        accuracy=findings.accuracy(),
        interval=findings.interval(),
        confusion=findings.confusion(),
        calibration_error=findings.calibration_error(),
        worst=findings.worst(),
        near_duplicates=findings.near_duplicates(),
        skipped=findings.skipped(),
        false_alarm=round(rejection.false_alarm, 4) if rejection else None,
        warnings=findings.warnings(),
        seconds=round(time.perf_counter() - began, 3),
    )
    return Taught(head, report)


def choose_form(int8: Taught, of_float: Taught) -> Taught:
    """The head on the INT8 form unless it loses a point of accuracy; on float where none is known.

    INT8 costs about one point with 10 to 50 photos a class.
    """
    loss = 1.0
    if int8.report.accuracy is not None and of_float.report.accuracy is not None:
        loss = of_float.report.accuracy - int8.report.accuracy
    chosen, other = (int8, of_float) if loss < MAX_INT8_LOSS else (of_float, int8)
    forms = (*chosen.report.forms, *other.report.forms)
    return replace(chosen, report=chosen.report.model_copy(update={"forms": forms}))
