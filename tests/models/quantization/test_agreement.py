"""Comparing two models' answers."""

import numpy as np
import pytest

from models.quantization.agreement import agreement


def test_a_model_agrees_with_itself() -> None:
    answers = np.array([[0.7, 0.3], [0.1, 0.9]], np.float32)
    found = agreement(answers, answers)
    assert (found.top1_agreement, found.probability_difference, found.divergence) == (1, 0, 0)


def test_the_difference_is_that_of_the_references_first_class() -> None:
    reference = np.array([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0]], np.float32)
    answers = np.array([[0.3, 0.6, 0.1], [0.1, 0.8, 0.1]], np.float32)
    found = agreement(reference, answers)
    assert (found.images, found.same_top1) == (2, 1)
    assert found.probability_difference == pytest.approx((0.4 + 0.1) / 2)
    expected = 0.7 * np.log(0.7 / 0.3) + 0.2 * np.log(0.2 / 0.6) + 0.9 * np.log(0.9 / 0.8)
    assert found.divergence == pytest.approx(expected / 2, rel=1e-4)
