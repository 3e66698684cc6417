"""Photos that resemble nothing that was taught: their nearest neighbours among the taught photos.

The confidence of a softmax does not find them: of unrelated photos it rejects about a tenth, where
the nearest neighbour in embeddings rejects nearly all, at the same share of false alarms.
"""

from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array, IntArray, distinct
from app.teaching.near_duplicates import BLOCK

FALSE_ALARM = 0.05
# Of 22 unrelated photos, 150 references reject as many as 300 (six kinds of waste, ten splits), and
# each of them is read from memory for each image.
MAX_REFERENCES = 200
MIN_OF_CLASS = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo is unknown if its cosine to the nearest of `references` is below `threshold`.

    references  unit embeddings [photos, width]
    """

    references: Float32Array
    threshold: float

    def similarity(self, units: Float32Array) -> Float32Array:
        """The cosine of unit embeddings [N, width] to their nearest reference, [N]."""
        return np.asarray((units @ self.references.T).max(axis=1), np.float32)


def fit_rejection(units: Float32Array, groups: IntArray, targets: IntArray) -> Rejection | None:
    """Choose references, and the threshold that rejects 5 % of the taught photos themselves.

    Each photo is compared with the references outside of its group of near-duplicates: a new photo
    has none. Without two groups there is nothing to compare, and the result is None.
    """
    chosen = choose_references(targets)
    if len(distinct(groups[chosen])) < 2:
        return None
    nearest = nearest_in_other_groups(units, groups, chosen)
    position = FALSE_ALARM * (len(nearest) - 1)  # np.quantile needs numpy.ma, which the image lacks
    threshold = np.interp(position, np.arange(len(nearest)), np.sort(nearest))
    return Rejection(units[chosen], float(threshold))


def choose_references(targets: IntArray) -> IntArray:
    """The indices of at most 200 photos, or ten of each class, evenly spaced in each class.

    Neighbours by name are the most alike.
    """
    classes = distinct(targets)
    quota = max(MIN_OF_CLASS, MAX_REFERENCES // len(classes))
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
