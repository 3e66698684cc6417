"""Choosing and fitting on embeddings of several views, against scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from app.arrays import Float32Array, IntArray
from app.teaching.classifier import STRENGTHS, Lessons, cross_validate, fit_all
from app.teaching.folds import assign_folds
from app.teaching.near_duplicates import unit
from app.teaching.softmax_regression import log_softmax

WIDTH, PHOTOS = 64, 60


@pytest.fixture(scope="module")
def photos() -> tuple[Float32Array, IntArray]:
    """Three classes of embeddings that overlap, two views of each photo."""
    random = np.random.default_rng(5)
    targets = np.repeat(np.arange(3), (30, 20, 10)).astype(np.intp)
    centres = np.abs(random.normal(size=(3, WIDTH)))
    first = centres[targets] + 0.8 * np.abs(random.normal(size=(PHOTOS, WIDTH)))
    second = first + 0.05 * random.normal(size=first.shape)
    return unit(np.stack([first, second], axis=1).astype(np.float32)), targets


def test_classifier_of_unit_embeddings_is_scikit_learns(
    photos: tuple[Float32Array, IntArray],
) -> None:
    units, targets = photos
    first = units[:, 0].astype(np.float64)
    centre, spread = first.mean(axis=0), (first - first.mean(axis=0)).std()
    balanced = PHOTOS / (3 * np.bincount(targets)[targets])
    judge = LogisticRegression(C=0.05, tol=1e-9, max_iter=10_000)
    features = (first - centre) / spread
    judge.fit(features, targets, sample_weight=balanced)

    found = fit_all(Lessons.of(units[:, :1], targets, 3), 0.05)

    probabilities = np.exp(log_softmax(found.logits(first)))
    assert probabilities == pytest.approx(judge.predict_proba(features), abs=1e-3)


def test_each_photo_counts_once_however_many_views_it_has(
    photos: tuple[Float32Array, IntArray],
) -> None:
    units, targets = photos
    once = fit_all(Lessons.of(units[:, :1], targets, 3), 0.05)
    thrice = fit_all(Lessons.of(units[:, [0, 0, 0]], targets, 3), 0.05)
    assert thrice.weights == pytest.approx(once.weights, abs=1e-3)


def test_held_out_logits_come_from_other_folds(photos: tuple[Float32Array, IntArray]) -> None:
    """With labels that mean nothing, held-out photos come out by chance; fitted ones would not."""
    units, targets = photos
    shuffled = np.random.default_rng(1).permutation(targets)
    folds = assign_folds(shuffled, np.arange(PHOTOS))
    found = cross_validate(Lessons.of(units, shuffled, 3), folds)
    assert found.strength in STRENGTHS
    assert np.mean(found.logits.argmax(axis=1) == shuffled) < 0.6
    fitted = fit_all(Lessons.of(units, shuffled, 3), 0.3)
    assert np.mean(fitted.logits(units[:, 0].astype(np.float64)).argmax(axis=1) == shuffled) > 0.8


def test_cross_validation_predicts_the_accuracy_on_new_photos(
    photos: tuple[Float32Array, IntArray],
) -> None:
    units, targets = photos
    found = cross_validate(Lessons.of(units, targets, 3), assign_folds(targets, np.arange(PHOTOS)))
    assert np.mean(found.logits.argmax(axis=1) == targets) > 0.9


def test_projecting_takes_one_copy_of_the_photos_and_the_components() -> None:
    """In a process that a gateway with little memory starts beside itself."""
    count, width = 360, 1280
    units = unit(np.random.default_rng(7).random((count, 4, width), np.float32))
    targets = np.arange(count) % 6
    copy_bytes = count * width * 8
    tracemalloc.start()
    lessons = Lessons.of(units, targets, 6)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(lessons.basis) == 256  # of 360: 0.7 of a copy
    assert peak - kept + lessons.basis.nbytes < 2.1 * copy_bytes
