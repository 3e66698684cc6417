"""The fit against scikit-learn's, on features that overlap."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from app.arrays import Float64Array, IntArray
from app.teaching.softmax_regression import SoftmaxRegression, fit, log_softmax

CLASSES = 4


@pytest.fixture(scope="module")
def data() -> tuple[Float64Array, IntArray]:
    random = np.random.default_rng(3)
    targets = np.repeat(np.arange(CLASSES), (40, 30, 20, 10)).astype(np.intp)
    centres = random.normal(size=(CLASSES, 25))
    return centres[targets] + 2 * random.normal(size=(len(targets), 25)), targets


@pytest.mark.unmeasured
@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_scikit_learns(
    data: tuple[Float64Array, IntArray], strength: float, weighted: bool
) -> None:
    features, targets = data
    counts = np.bincount(targets)
    weights = (len(targets) / (CLASSES * counts))[targets] if weighted else np.ones(len(targets))
    judge = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
    judge.fit(features, targets, sample_weight=weights)

    found = fit(features, targets, CLASSES, strength, weights)

    probabilities = np.exp(log_softmax(found.logits(features)))
    assert probabilities == pytest.approx(judge.predict_proba(features), abs=1e-3)


def test_start_changes_the_way_and_not_the_end(data: tuple[Float64Array, IntArray]) -> None:
    features, targets = data
    weights = np.ones(len(targets))
    near = fit(features, targets, CLASSES, 0.02, weights)
    direct = fit(features, targets, CLASSES, 0.05, weights)
    continued = fit(features, targets, CLASSES, 0.05, weights, start=near)
    assert continued.weights == pytest.approx(direct.weights, abs=1e-4)


def test_temperature_divides_the_logits() -> None:
    classifier = SoftmaxRegression(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, 3.0]))
    halved = classifier.with_temperature(2)
    assert halved.logits(np.array([[1.0, 1.0]])).tolist() == [[1.5, 3.5]]
