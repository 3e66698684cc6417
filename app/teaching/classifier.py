"""From embeddings to logits: what is fitted, and how the strength of the fit is chosen."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from app.arrays import Float32Array, Float64Array, IntArray
from app.teaching.confidence import best_temperature, cross_entropy
from app.teaching.folds import splits
from app.teaching.softmax_regression import TOLERANCE, SoftmaxRegression, fit

# scikit-learn's C, from the strongest penalty to the weakest, so that each fit starts near the end.
STRENGTHS = tuple(float(strength) for strength in np.geomspace(1e-3, 0.3, 6))
CHOOSING_TOLERANCE = 1e-4  # enough to compare strengths
ROUNDING = 1e-10  # of the largest variance
MAX_COMPONENTS = 256  # as accurate as all 1280 on 60 photos a class, in a sixth of the time


@dataclass(frozen=True, slots=True)
class Lessons:
    """Labelled photos, several views each, as coordinates of their embeddings.

    features  [photos, views, components]; the first view is the photo as the model sees it
    targets   class index of each photo, [photos]
    basis     [components, width], with orthonormal rows: principal components of the photos
    centre    [width], subtracted from unit embeddings before they are projected
    spread    standard deviation, by which they are divided
    """

    features: Float64Array
    targets: IntArray
    class_count: int
    basis: Float64Array
    centre: Float64Array
    spread: float

    @classmethod
    def of(cls, units: Float32Array, targets: IntArray, class_count: int) -> Self:
        """Project unit embeddings [photos, views, width] on the components of the first views."""
        centred = units[:, 0].astype(np.float64)
        centre = centred.mean(axis=0)
        centred -= centre
        spread = float(np.linalg.norm(centred) / np.sqrt(centred.size))
        basis = _principal_components(centred)
        features = np.empty((*units.shape[:2], len(basis)))
        for view in range(units.shape[1]):  # one after another, as a copy of all takes much memory
            np.subtract(units[:, view], centre, out=centred)
            features[:, view] = centred @ basis.T / spread
        return cls(features, targets, class_count, basis, centre, spread)

    def select(self, photos: IntArray) -> tuple[Float64Array, IntArray, Float64Array]:
        """Features [N * views, components], targets and weights of the chosen photos.

        Each class has the same weight, however many photos it has, and each photo the same, however
        many views it has.
        """
        features, targets = self.features[photos], self.targets[photos]
        _, views, width = features.shape
        counts = np.bincount(targets, minlength=self.class_count)
        weights = len(photos) / (np.count_nonzero(counts) * np.maximum(counts, 1) * views)
        repeated = np.repeat(targets, views)
        return features.reshape(-1, width), repeated, weights[repeated]

    def on_units(self, fitted: SoftmaxRegression) -> SoftmaxRegression:
        """The same classifier for unit embeddings instead of features."""
        weights = fitted.weights @ self.basis / self.spread
        return SoftmaxRegression(weights, fitted.bias - weights @ self.centre)


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The strength that predicts photos best that were not fitted on, and its predictions.

    `logits` [photos, classes] of each photo come from the classifier that did not see its fold;
    they are divided by `temperature`.
    """

    strength: float
    temperature: float
    logits: Float64Array


def cross_validate(lessons: Lessons, folds: IntArray) -> CrossValidation:
    """Choose the strength by the cross-entropy of the photos of held-out folds [photos]."""
    logits = np.zeros((len(STRENGTHS), len(lessons.targets), lessons.class_count))
    for taught, tested in splits(folds):
        features, targets, weights = lessons.select(taught)
        fitted = None
        for at, strength in enumerate(STRENGTHS):
            fitted = fit(
                features, targets, lessons.class_count, strength, weights, fitted,
                CHOOSING_TOLERANCE,
            )  # fmt: skip
            logits[at, tested] = fitted.logits(lessons.features[tested, 0])
    temperatures = [best_temperature(scores, lessons.targets) for scores in logits]
    calibrated = [scores / one for scores, one in zip(logits, temperatures, strict=True)]
    best = int(np.argmin([cross_entropy(scores, lessons.targets) for scores in calibrated]))
    return CrossValidation(STRENGTHS[best], temperatures[best], calibrated[best])


def fit_all(lessons: Lessons, strength: float) -> SoftmaxRegression:
    """Fit all photos with the chosen strength; the classifier takes unit embeddings."""
    features, targets, weights = lessons.select(np.arange(len(lessons.targets)))
    fitted = fit(features, targets, lessons.class_count, strength, weights, tolerance=TOLERANCE)
    return lessons.on_units(fitted)


def _principal_components(centred: Float64Array) -> Float64Array:
    """Orthonormal rows [components, width] for the most variance of [N, width].

    From the products of the rows, or of the columns if these are fewer: a singular value
    decomposition takes three times the memory. Components of no more than rounding are left out.
    """
    of_rows = len(centred) <= centred.shape[1]
    products = centred @ centred.T if of_rows else centred.T @ centred
    squares, vectors = np.linalg.eigh(products)  # in ascending order
    count = min(MAX_COMPONENTS, int(np.count_nonzero(squares > ROUNDING * squares[-1])))
    chosen = vectors[:, : -count - 1 : -1].T
    if not of_rows:
        return np.asarray(chosen)
    components = chosen @ centred
    components /= np.sqrt(squares[: -count - 1 : -1, np.newaxis])
    return np.asarray(components)
