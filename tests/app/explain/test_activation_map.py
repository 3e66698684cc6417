"""The map of a class: its mean is the logit, and its box holds the strongest evidence."""

import numpy as np
import pytest

from app.explain.activation_map import Cells, class_map, evidence
from app.explain.linear_head import LinearHead, Rounding


def test_each_place_adds_its_features_times_the_weights() -> None:
    features = np.zeros((2, 2, 3), np.float32)
    features[0, 0, 0], features[1, 1, 2] = 6, 12
    pooled = np.array([1, 2], np.float32)  # the means of six places
    grid = class_map(features, pooled, np.array([2, -1], np.float32))
    assert grid.tolist() == [[12, 0, 0], [0, 0, -12]]


def test_the_mean_is_the_sum_for_the_features_that_the_classifier_reads() -> None:
    random = np.random.default_rng(0)
    features = random.random((16, 7, 7), np.float32)
    weights = random.normal(size=16).astype(np.float32)
    rounded = np.round(features.mean(axis=(1, 2)) * 8) / 8
    grid = class_map(features, rounded, weights)
    assert grid.mean() == pytest.approx(float(weights @ rounded), abs=1e-5)
    exact = class_map(features, features.mean(axis=(1, 2)), weights)
    assert np.ptp(grid - exact) < 1e-5  # rounding is nobody's evidence


def test_rounding_goes_to_the_nearest_step_and_stays_in_range() -> None:
    rounding = Rounding(scale=0.5, zero=-128, minimum=-128, maximum=127)
    values = np.array([-1, 0.2, 0.3, 1.6, 500], np.float32)
    assert rounding(values).tolist() == [0, 0, 0.5, 1.5, 127.5]


def test_a_background_class_comes_before_the_labels() -> None:
    head = LinearHead(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([7, 8, 9], np.float32))
    weights, bias = head.row(0, classes=2)
    assert (weights.tolist(), bias) == ([2, 3], 8)


@pytest.mark.parametrize(
    ("grid", "cells"),
    [
        ([[0, 1, 0], [0, 0, 0]], Cells(0, 1, 1, 2)),
        ([[4, 3, 0, 4], [0, 2, 1, 0]], Cells(0, 0, 2, 2)),  # the other 4 touches it nowhere
        ([[1, 0], [0, 1]], Cells(0, 0, 1, 1)),  # a corner is no touch
        ([[0, 0, 9], [9, 0, 0]], Cells(0, 2, 1, 3)),  # nor are the ends of two rows
        ([[9, 8, 9], [0, 0, 8], [9, 0, 9]], Cells(0, 0, 3, 3)),
        ([[5, 5], [5, 5]], Cells(0, 0, 2, 2)),
        ([[-1, 0], [-2, -3]], None),
    ],
)
def test_the_box_is_around_what_touches_the_strongest_place(
    grid: list[list[float]], cells: Cells | None
) -> None:
    assert evidence(np.array(grid, np.float32)) == cells
