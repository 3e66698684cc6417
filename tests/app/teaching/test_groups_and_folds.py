import numpy as np
import pytest

from app.arrays import Float32Array
from app.teaching.folds import assign_folds, count_folds, splits
from app.teaching.near_duplicates import group_near_duplicates, unit
from app.teaching.rejection import (
    choose_references,
    fit_rejection,
    nearest_in_other_groups,
    rejected_when_left_out,
)


def at_degrees(*degrees: float) -> Float32Array:
    """Unit vectors in a plane; the cosine of two is that of the angle between them."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


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


def test_the_nearest_photo_is_one_of_another_group() -> None:
    vectors = at_degrees(0, 5, 60, 90)
    nearest = nearest_in_other_groups(vectors, np.array([0, 0, 2, 3]), np.arange(4))
    assert np.degrees(np.arccos(nearest)) == pytest.approx([60, 55, 30, 30], abs=0.01)


def test_rejection_measures_the_angle_to_the_nearest_photo() -> None:
    rejection = fit_rejection(at_degrees(0, 20, 40), np.arange(3), np.array([0, 0, 1]))
    assert rejection is not None
    assert rejection.threshold == pytest.approx(np.cos(np.radians(20)), abs=1e-6)
    assert (rejection.references == at_degrees(0, 20, 40)).all()


@pytest.mark.parametrize("of_class", [40, 150])  # 50 of each class are references, if there are
def test_a_class_that_is_left_out_is_compared_with_the_others(of_class: int) -> None:
    """Against loops over single photos, with groups that go across classes and blocks."""
    random = np.random.default_rng(0)
    total = 4 * of_class
    targets = np.repeat(np.arange(4), of_class).astype(np.intp)
    directions = np.abs(random.normal(size=(4, 6)))
    vectors = unit((directions[targets] + 0.5 * random.normal(size=(total, 6))).astype(np.float32))
    groups = np.arange(total)
    groups[random.choice(total, of_class, replace=False)] = groups[:of_class]
    spaced = np.rint(np.linspace(0, of_class - 1, min(of_class, 50))).astype(int)
    references = [label * of_class + at for label in range(4) for at in spaced]
    cosines = vectors.astype(float) @ vectors.T.astype(float)
    expected = []
    for label in range(4):
        others = [at for at in references if targets[at] != label]
        nearest = [
            max(cosines[one, other] for other in others if groups[other] != groups[one])
            for one in range(total)
            if targets[one] != label
        ]
        threshold = np.quantile(nearest, 0.05)
        left_out = [at for at in range(total) if targets[at] == label]
        unknown = [cosines[at, others].max() < threshold for at in left_out]
        expected.append(np.mean(unknown))
    assert 0 < max(expected) < 1
    assert rejected_when_left_out(vectors, groups, targets) == pytest.approx(expected)


def test_what_is_left_of_two_classes_with_one_scene_each_rejects_nothing() -> None:
    units, groups = at_degrees(0, 1, 90, 91), np.array([0, 0, 2, 2])
    assert rejected_when_left_out(units, groups, np.array([0, 0, 1, 1])) == [None, None]


def test_one_group_alone_rejects_nothing() -> None:
    assert fit_rejection(at_degrees(0, 1), np.zeros(2, np.intp), np.arange(2)) is None


def test_the_nearest_is_among_the_references_only() -> None:
    vectors = at_degrees(0, 5, 60, 90)
    nearest = nearest_in_other_groups(vectors, np.arange(4), np.array([0, 3]))
    assert np.degrees(np.arccos(nearest)) == pytest.approx([90, 5, 30, 90], abs=0.01)


def test_few_photos_are_all_references() -> None:
    targets = np.array([1, 0, 1, 0, 0])
    assert choose_references(targets).tolist() == [0, 1, 2, 3, 4]


def test_of_many_photos_each_class_has_its_share_from_first_to_last() -> None:
    targets = np.repeat([0, 1], (900, 30)).astype(np.intp)
    chosen = choose_references(targets)
    assert np.bincount(targets[chosen]).tolist() == [75, 30]
    first = chosen[:75]
    assert (first[0], first[-1]) == (0, 899)
    assert set(np.diff(first)) == {12, 13}


def test_of_many_classes_each_has_ten_references() -> None:
    targets = np.repeat(np.arange(50), 20)
    assert np.bincount(targets[choose_references(targets)]).tolist() == [10] * 50
