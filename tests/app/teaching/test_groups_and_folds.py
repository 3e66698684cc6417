import numpy as np
import pytest

from app.teaching.folds import assign_folds, count_folds, splits
from app.teaching.near_duplicates import group_near_duplicates, unit
from tests.app.teaching.directions import at_degrees


def test_unit_vectors_have_length_1_and_nothing_stays_nothing() -> None:
    found = unit(np.array([[3, 4], [0, 0]], np.float32))
    assert found.tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    # cos 15 degrees = 0.966 is alike, cos 30 degrees = 0.866 is not: 0 and 30 are linked by 15.
    vectors = at_degrees(0, 90, 30, 15, 100, 200)
    assert group_near_duplicates(vectors, 0.94).tolist() == [0, 1, 0, 0, 1, 5]


def test_groups_are_found_across_blocks() -> None:
    vectors = np.eye(1200, dtype=np.float32)
    vectors[1100] = vectors[3]
    groups = group_near_duplicates(vectors)
    assert groups[1100] == 3
    assert len(np.unique(groups)) == 1199


def test_groups_are_the_connected_components() -> None:
    """Found here by following the neighbours of each photo; an embedding of zeros has none."""
    vectors = unit(np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32))
    vectors[7] = 0
    neighbours = vectors @ vectors.T >= 0.996
    expected = [-1] * 600
    for first in range(600):
        reached = [first] if expected[first] < 0 else []
        for photo in reached:
            expected[photo] = first
            reached += [at for at in neighbours[photo].nonzero()[0].tolist() if at not in reached]
    assert 50 < len(set(expected)) < 500
    assert group_near_duplicates(vectors, 0.996).tolist() == expected


def test_folds_keep_groups_whole_and_classes_in_proportion() -> None:
    targets = np.repeat([0, 1], (40, 20)).astype(np.intp)
    groups = np.arange(60)
    groups[[1, 2, 3]] = 0
    groups[41] = 40
    folds = assign_folds(targets, groups)
    assert len(np.unique(folds)) == 10
    assert len(np.unique(folds[:4])) == 1
    assert folds[40] == folds[41]
    for fold in range(10):
        assert np.count_nonzero((folds == fold) & (targets == 0)) == pytest.approx(4, abs=1)
        assert np.count_nonzero((folds == fold) & (targets == 1)) == pytest.approx(2, abs=1)


@pytest.mark.parametrize(
    ("targets", "groups", "folds"),
    [
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], 3),
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 5], 2),
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 3], 1),
        ([0] * 200 + [1] * 200, range(400), 5),
    ],
)
def test_there_are_as_many_folds_as_every_class_can_fill(
    targets: list[int], groups: list[int], folds: int
) -> None:
    assert count_folds(np.array(targets), np.array(groups)) == folds


def test_each_photo_is_tested_once_and_never_taught_then() -> None:
    folds = np.array([0, 1, 2, 0, 1, 2])
    tested = []
    for taught, held_out in splits(folds):
        assert sorted([*taught, *held_out]) == [0, 1, 2, 3, 4, 5]
        tested += held_out.tolist()
    assert sorted(tested) == [0, 1, 2, 3, 4, 5]
