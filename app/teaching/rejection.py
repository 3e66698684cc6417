"""Photos that resemble nothing that was taught: their nearest neighbours among the taught photos.

The confidence of a softmax does not find them: of unrelated photos it rejects about a tenth, where
the nearest neighbour in embeddings rejects nearly all, at the same share of false alarms.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from app.arrays import Float32Array, IntArray, distinct
from app.teaching.near_duplicates import BLOCK

FALSE_ALARM = 0.05
# Of 22 unrelated photos, 150 references reject as many as 300 (six kinds of waste, ten splits), and
# each of them is read from memory for each image.
MAX_REFERENCES = 150
MIN_OF_CLASS = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo is unknown if its cosine to the nearest of `references` is below `threshold`.

    references  unit embeddings [photos, width]
    """

    references: Float32Array
    threshold: float


def fit_rejection(units: Float32Array, groups: IntArray, targets: IntArray) -> Rejection | None:
    """Choose references, and the threshold that rejects 5 % of the taught photos themselves.

    Each photo is compared with the references outside of its group of near-duplicates: a new photo
    has none. Without two groups there is nothing to compare, and the result is None.
    """
    chosen = choose_references(targets)
    if len(distinct(groups[chosen])) < 2:
        return None
    return Rejection(units[chosen], _threshold(nearest_in_other_groups(units, groups, chosen)))


def rejected_when_left_out(
    units: Float32Array, groups: IntArray, targets: IntArray
) -> list[float | None]:
    """The share of each class's photos that are unknown if only the other classes are taught.

    Each is what `fit_rejection` of the others would reject, or None, but the photos [N, width] are
    compared once, not once for each class. There are two classes or more.
    """
    classes = distinct(targets)
    chosen = choose_references(targets, len(classes) - 1)
    chosen = chosen[np.argsort(targets[chosen], kind="stable")]
    starts = np.searchsorted(targets[chosen], classes)
    everywhere, elsewhere = [], []  # elsewhere: in other groups
    for begin in range(0, len(units), BLOCK):
        similar = units[begin : begin + BLOCK] @ units[chosen].T
        everywhere.append(_Nearest.of(np.maximum.reduceat(similar, starts, axis=1)))
        similar[groups[begin : begin + BLOCK, np.newaxis] == groups[np.newaxis, chosen]] = -1
        elsewhere.append(_Nearest.of(np.maximum.reduceat(similar, starts, axis=1)))
    shares: list[float | None] = []
    for at, label in enumerate(classes):
        own = targets == label
        if len(distinct(groups[chosen[targets[chosen] != label]])) < 2:
            shares.append(None)
            continue
        taught = np.concatenate([nearest.without(at) for nearest in elsewhere])[~own]
        left_out = np.concatenate([nearest.without(at) for nearest in everywhere])[own]
        shares.append(float((left_out < _threshold(taught)).mean()))
    return shares


class _Nearest(NamedTuple):
    """The class of each photo's nearest reference, its cosine, and that of any other class."""

    label: IntArray
    first: Float32Array
    second: Float32Array

    @classmethod
    def of(cls, cosines: Float32Array) -> Self:
        """From the highest cosine of each photo for each class, [photos, classes]."""
        label, rows = cosines.argmax(axis=1), np.arange(len(cosines))
        first = cosines[rows, label]
        cosines[rows, label] = -1
        return cls(label, first, cosines.max(axis=1))

    def without(self, label: int) -> Float32Array:
        """The cosine of each photo to the nearest reference that is not of this class."""
        return np.where(self.label == label, self.second, self.first)


def _threshold(nearest: Float32Array) -> float:
    position = FALSE_ALARM * (len(nearest) - 1)  # np.quantile needs numpy.ma, which the image lacks
    return float(np.interp(position, np.arange(len(nearest)), np.sort(nearest)))


def choose_references(targets: IntArray, taught: int | None = None) -> IntArray:
    """The indices of at most 150 photos, or ten of each class, evenly spaced in each class.

    Neighbours by name are the most alike. `taught` is the number of classes, if not all.
    """
    classes = distinct(targets)
    quota = max(MIN_OF_CLASS, MAX_REFERENCES // (taught or len(classes)))
    chosen = []
    for target in classes:
        own = np.flatnonzero(targets == target)
        places = np.linspace(0, len(own) - 1, min(quota, len(own)))
        chosen.append(own[np.rint(places).astype(np.intp)])
    return np.sort(np.concatenate(chosen))


def nearest_in_other_groups(
    units: Float32Array, groups: IntArray, references: IntArray
) -> Float32Array:
    """The cosine of each photo [N, width] to the nearest reference of another group, [N].

    `references` are indices of photos.
    """
    nearest = np.empty(len(units), np.float32)
    for begin in range(0, len(units), BLOCK):
        similar = units[begin : begin + BLOCK] @ units[references].T
        others = groups[references][np.newaxis]
        similar[groups[begin : begin + BLOCK, np.newaxis] == others] = -1
        nearest[begin : begin + BLOCK] = similar.max(axis=1)
    return nearest
