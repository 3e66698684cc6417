"""The findings of a report, from the embeddings and what cross-validation predicted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.arrays import IntArray, distinct
from app.teaching.classifier import CrossValidation
from app.teaching.confidence import calibration_error, wilson_interval
from app.teaching.embedded_photos import EmbeddedPhotos
from app.teaching.rejection import rejected_when_left_out
from app.teaching.report import ClassResult, SkippedFile, WrongPhoto
from app.teaching.softmax_regression import log_softmax

FEW_PHOTOS = 10  # of a class, below which its figures say little
LISTED = 10
UNEVEN = 10  # times as many photos in the largest class as in the smallest


@dataclass(frozen=True, slots=True)
class Findings:
    """What the report says of photos in groups [photos] of near-duplicates.

    `validation` is None if a class has only one group, so that nothing could be held out.
    """

    photos: EmbeddedPhotos
    groups: IntArray
    validation: CrossValidation | None
    folder: Path

    def accuracy(self) -> float | None:
        right = self._right()
        return None if right is None else round(float(right.mean()), 4)

    def interval(self) -> tuple[float, float] | None:
        right = self._right()
        if right is None:
            return None
        low, high = wilson_interval(int(np.count_nonzero(right)), len(right))
        return round(low, 4), round(high, 4)

    def confusion(self) -> tuple[tuple[int, ...], ...] | None:
        predicted = self._predicted()
        if predicted is None:
            return None
        size = len(self.photos.labels)
        counts = np.zeros((size, size), np.intp)
        np.add.at(counts, (self.photos.targets, predicted), 1)
        return tuple(tuple(int(count) for count in row) for row in counts)

    def calibration_error(self) -> float | None:
        if self.validation is None:
            return None
        return round(calibration_error(self.validation.logits, self.photos.targets), 4)

    def classes(self) -> tuple[ClassResult, ...]:
        targets, right = self.photos.targets, self._right()
        rejected = rejected_when_left_out(self.photos.units[:, 0], self.groups, targets)
        rows = []
        for index, label in enumerate(self.photos.labels):
            own = targets == index
            recall = None if right is None else round(float(right[own].mean()), 4)
            rows.append(
                ClassResult(
                    label=label,
                    photos=int(np.count_nonzero(own)),
                    recall=recall,
                    rejected_when_left_out=_rounded(rejected[index]),
                )
            )
        return tuple(rows)

    def worst(self) -> tuple[WrongPhoto, ...]:
        """The photos that came out wrong with the most certainty."""
        predicted, right = self._predicted(), self._right()
        if self.validation is None or predicted is None or right is None:
            return ()
        sure = np.exp(log_softmax(self.validation.logits)).max(axis=1)
        order = [at for at in np.argsort(-sure) if not right[at]][:LISTED]
        return tuple(
            WrongPhoto(
                file=self._name(self.photos.photos[at].path),
                label=self.photos.photos[at].label,
                predicted=self.photos.labels[predicted[at]],
                probability=round(float(sure[at]), 4),
            )
            for at in order
        )

    def near_duplicates(self) -> tuple[tuple[str, ...], ...]:
        found = []
        for group in distinct(self.groups):
            members = np.flatnonzero(self.groups == group)
            if len(members) > 1:
                found.append(tuple(self._name(self.photos.photos[at].path) for at in members))
        return tuple(found)

    def skipped(self) -> tuple[SkippedFile, ...]:
        return tuple(
            SkippedFile(file=self._name(one.path), reason=one.reason) for one in self.photos.skipped
        )

    def warnings(self) -> tuple[str, ...]:
        counts = np.bincount(self.photos.targets)
        labels = self.photos.labels
        texts = [
            f"`{label}` has {count} photos; below {FEW_PHOTOS} its figures say little."
            for label, count in zip(labels, counts, strict=True)
            if count < FEW_PHOTOS
        ]
        if counts.max() >= UNEVEN * counts.min():
            texts.append(
                f"`{labels[counts.argmax()]}` has {counts.max()} photos and "
                f"`{labels[counts.argmin()]}` {counts.min()}; add photos of the latter."
            )
        if self.validation is None:
            texts.append(
                "Accuracy is unknown: a class has only one photo, or only near-duplicates of one."
            )
        return tuple(texts) + self._mixed_labels()

    def _mixed_labels(self) -> tuple[str, ...]:
        """Warn of near-duplicates that have different labels: one of them is probably wrong."""
        texts = []
        for group in distinct(self.groups):
            members = [self.photos.photos[at] for at in np.flatnonzero(self.groups == group)]
            if len({photo.label for photo in members}) > 1:
                names = ", ".join(self._name(photo.path) for photo in members[:LISTED])
                texts.append(f"These near-duplicates have different labels: {names}.")
        return tuple(texts)

    def _predicted(self) -> IntArray | None:
        return None if self.validation is None else self.validation.logits.argmax(axis=1)

    def _right(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]] | None":
        predicted = self._predicted()
        return None if predicted is None else predicted == self.photos.targets

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else path.name


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
