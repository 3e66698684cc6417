"""Photos that resemble nothing that was taught: their nearest neighbours among the taught photos.

The confidence of a softmax does not find them: of unrelated photos it rejects about a tenth, where
the nearest neighbour in embeddings rejects nearly all, at the same share of false alarms.

The threshold is a score of a photo that was not taught, as in split conformal prediction (Vovk et
al. 2005, "Algorithmic Learning in a Random World"): of the scores of N taught photos and a new one,
each rank is as likely for the new one, so it is below the k-th lowest with a chance of k / (N + 1).
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from app.arrays import Float32Array, Float64Array, IntArray, distinct
from app.heads.head import STEP
from app.teaching.near_duplicates import BLOCK
from app.teaching.softmax_regression import log_softmax

# Of photos like the taught ones, 5 % may be unknown. The threshold of one set of photos rejects
# more or fewer than on average, so it aims lower; of few photos less so, since their lowest scores
# are far apart: with 60, a threshold at rank 1.5 rejects 86 % of unrelated photos, at rank 2.5 it
# rejects 93 to 95 % (six kinds of waste, 60 splits, INT8 and float).
AIM = 0.03
AIM_OF_FEW = 0.045
RANK_OF_FEW = 2.5
# Of 22 unrelated photos, 150 references reject as many as 300 (six kinds of waste, ten splits), and
# each of them is read from memory for each image.
MAX_REFERENCES = 150
MIN_OF_CLASS = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo is unknown if its cosine to the nearest of `references` is below `threshold`.

    references   unit embeddings [photos, width]
    false_alarm  share of the taught photos that are unknown if their group, with which they share a
                 scene, is neither taught nor counted for the threshold
    """

    references: Float32Array
    threshold: float
    false_alarm: float


def fit_rejection(
    units: Float32Array, groups: IntArray, targets: IntArray, logits: Float64Array | None
) -> Rejection | None:
    """Choose references, and the threshold by the taught photos themselves.

    Each photo is compared with the references outside of its group of near-duplicates: a new photo
    has none. Without two groups there is nothing to compare, and the result is None.

    `logits` [photos, classes] are those of held-out folds: `unknown` is the answer where it is more
    probable than each class, which a photo of an uncertain class is from a little above the
    threshold. Without them, every class counts as equally probable.
    """
    chosen = choose_references(targets)
    if len(distinct(groups[chosen])) < 2:
        return None
    if logits is None:
        logits = np.zeros((len(targets), len(distinct(targets))))
    scores = nearest_in_other_groups(units, groups, chosen)
    scores = scores + STEP * log_softmax(logits).max(axis=1)
    return Rejection(units[chosen], _threshold(scores, groups), _false_alarm(scores, groups))


def rejected_when_left_out(
    units: Float32Array, groups: IntArray, targets: IntArray
) -> list[float | None]:
    """The share of each class's photos that are unknown if only the other classes are taught.

    Each is what `fit_rejection` of the others would reject, or None, for classes that the head is
    sure of. The photos [N, width] are compared once, not once for each class. There are two classes
    or more.
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
        shares.append(float((left_out < _threshold(taught, groups[~own])).mean()))
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


def _threshold(scores: Float64Array, groups: IntArray, more_ranks: float = 0) -> float:
    """The score that few new photos are below; a group of near-duplicates counts as one photo.

    `more_ranks` is added to the rank of this score.
    """
    weights = _weights(groups)
    order = np.argsort(scores)
    ranks = np.cumsum(weights[order])
    places = ranks[-1] + 1  # among which a new photo falls
    rank = max(AIM * places, min(RANK_OF_FEW, AIM_OF_FEW * places))
    return float(np.interp(rank + more_ranks, ranks, scores[order]))


def _false_alarm(scores: Float64Array, groups: IntArray) -> float:
    """The share of photos below the threshold of the other groups; a group counts as one photo."""
    weights, alarms = _weights(groups), 0.0
    # Without one group the threshold is at most one rank higher.
    for group in distinct(groups[scores <= _threshold(scores, groups, more_ranks=1)]):
        own = groups == group
        alarms += weights[own & (scores < _threshold(scores[~own], groups[~own]))].sum()
    return float(alarms / weights.sum())


def _weights(groups: IntArray) -> Float64Array:
    """The share of each photo in its group, [N]."""
    weights: Float64Array = 1 / np.bincount(groups)[groups]
    return weights


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
