"""The map of a class: its mean is the logit, and its box holds the strongest evidence."""

import json

import numpy as np
import pytest

from app.explain.activation_map import Cells, Grid, class_map, evidence
from app.explain.explanation import Explanation
from app.explain.linear_head import LinearHead, Rounding
from app.images.crop import Box


def test_each_place_adds_its_features_times_the_weights() -> None:
    features = np.zeros((2, 2, 3), np.float32)
    features[0, 0, 0], features[1, 1, 2] = 6, 12
    grid = class_map(features, np.array([2, -1], np.float32), mean=0)  # 2 * 6 - 12
    assert grid == [[12, 0, 0], [0, 0, -12]]


def test_the_mean_is_that_of_the_classifier_that_rounds() -> None:
    random = np.random.default_rng(0)
    features = random.random((16, 7, 7), np.float32)
    weights = random.normal(size=16).astype(np.float32)
    exact = float(weights @ features.mean(axis=(1, 2)))
    rounded = float(weights @ (np.round(features.mean(axis=(1, 2)) * 8) / 8))
    assert abs(rounded - exact) > 1e-3
    grid = class_map(features, weights, rounded)
    assert np.mean(grid) == pytest.approx(rounded, abs=1e-9)
    difference = np.subtract(grid, class_map(features, weights, exact))
    assert np.ptp(difference) < 1e-5  # rounding is nobody's evidence


def test_a_map_of_numbers_that_are_not_finite_is_none() -> None:
    features = np.full((1, 2, 2), np.inf, np.float32)
    grid = class_map(features, np.ones(1, np.float32), np.inf)
    found = Explanation.of(3, "cat", grid, 0.5, Box(0, 0, 9, 9), None)
    assert json.loads(found.to_json()) == {
        "class_id": 3,
        "label": "cat",
        "method": "cam",
        "unavailable": "The model gives this class no finite number.",
    }


def test_rounding_goes_to_the_nearest_step_and_stays_in_range() -> None:
    rounding = Rounding(scale=0.5, zero=-128, minimum=-128, maximum=127)
    values = np.array([-1, 0.2, 0.3, 1.6, 500], np.float32)
    assert rounding(values).tolist() == [0, 0, 0.5, 1.5, 127.5]


def test_the_background_comes_before_the_labels_and_unknown_has_no_weights() -> None:
    head = LinearHead(np.ones((3, 2), np.float32), np.array([7, 8, 9], np.float32))
    assert [head.output_of(0, classes) for classes in (2, 3, 4)] == [1, 0, 0]


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
    grid: Grid, cells: Cells | None
) -> None:
    assert evidence(grid) == cells
