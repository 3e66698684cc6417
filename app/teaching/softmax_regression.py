"""Multinomial logistic regression with an L2 penalty, in NumPy.

The objective is scikit-learn's, so that its `LogisticRegression` at the same C is the judge:

    1/2 |W|^2 + C * sum_i s_i * cross_entropy(softmax(W x_i + b), y_i)

with sample weights s_i; the bias b is not penalised.
"""

from dataclasses import dataclass

import numpy as np

from app.arrays import Float64Array, IntArray
from app.teaching.lbfgs import minimize

TOLERANCE = 1e-6  # of the gradient of the mean loss, in units near the identity
MAX_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class SoftmaxRegression:
    """A linear classifier: `weights` [classes, width] and `bias` [classes]."""

    weights: Float64Array
    bias: Float64Array

    def logits(self, features: Float64Array) -> Float64Array:
        """Scores [N, classes] of features [N, width]."""
        return features @ self.weights.T + self.bias

    def with_temperature(self, temperature: float) -> "SoftmaxRegression":
        """The same classifier with its logits divided by `temperature`."""
        return SoftmaxRegression(self.weights / temperature, self.bias / temperature)


def fit(
    features: Float64Array,
    targets: IntArray,
    class_count: int,
    strength: float,
    sample_weights: Float64Array,
    start: SoftmaxRegression | None = None,
    tolerance: float = TOLERANCE,
) -> SoftmaxRegression:
    """Fit features [N, width] to class indices [N].

    `strength` is scikit-learn's C: a larger one trusts the photos more and the penalty less.
    `start` is the solution for another strength, from which few iterations are left.
    """
    width = features.shape[1]
    total = float(sample_weights.sum())
    one_hot = np.eye(class_count)[targets]
    penalty = 1 / (strength * total)
    scale = _scale(features, class_count, penalty)

    def objective(scaled: Float64Array) -> tuple[float, Float64Array]:
        model = _unpacked(scaled * scale, class_count, width)
        log_probabilities = log_softmax(model.logits(features))
        losses = -np.einsum("nc,nc->n", one_hot, log_probabilities)
        value = sample_weights @ losses / total + penalty / 2 * np.vdot(
            model.weights, model.weights
        )
        error = (np.exp(log_probabilities) - one_hot) * (sample_weights / total)[:, np.newaxis]
        by_weight = error.T @ features + penalty * model.weights
        return float(value), np.concatenate([by_weight.ravel(), error.sum(axis=0)]) * scale

    first = start or SoftmaxRegression(np.zeros((class_count, width)), np.zeros(class_count))
    packed = np.concatenate([first.weights.ravel(), first.bias])
    solution = minimize(
        objective, packed / scale, tolerance=tolerance, max_iterations=MAX_ITERATIONS
    )
    return _unpacked(solution * scale, class_count, width)


def log_softmax(logits: Float64Array) -> Float64Array:
    """Logarithms of the probabilities [N, classes]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms: Float64Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms


def _scale(features: Float64Array, class_count: int, penalty: float) -> Float64Array:
    """Units in which the Hessian is near the identity, so that few iterations are needed.

    For features without correlation the Hessian is near p (1 - p) times the mean square of each
    feature, plus the penalty; p is a class's share.
    """
    curvature = (class_count - 1) / class_count**2
    by_feature = 1 / np.sqrt(curvature * np.mean(features**2, axis=0) + penalty)
    by_bias = np.full(class_count, 1 / np.sqrt(curvature))
    return np.concatenate([np.tile(by_feature, class_count), by_bias])


def _unpacked(point: Float64Array, class_count: int, width: int) -> SoftmaxRegression:
    return SoftmaxRegression(
        point[: class_count * width].reshape(class_count, width), point[class_count * width :]
    )
