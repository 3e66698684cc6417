"""Which photos are unknown: references, the threshold, and how many known photos it rejects."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from app.arrays import Float32Array, Float64Array, IntArray
from app.model.model import Model
from app.teaching.embedded_photos import EmbeddedPhotos, Photo
from app.teaching.lesson import teach
from app.teaching.near_duplicates import unit
from app.teaching.rejection import (
    choose_references,
    fit_rejection,
    nearest_in_other_groups,
    rejected_when_left_out,
)
from tests.app.teaching.directions import at_degrees


def sure(photos: int, classes: int = 2) -> Float64Array:
    """Logits of a classifier that gives the first class all of the probability."""
    return np.tile([100.0] + [0.0] * (classes - 1), (photos, 1))


def by_rank(scores: Sequence[float], groups: Sequence[int]) -> float:
    """The score at 3 % of the ranks, of few photos up to 4.5 %; one new photo makes a rank more."""
    sizes = Counter(groups)
    places = len(sizes) + 1
    rank = max(0.03 * places, min(2.5, 0.045 * places))
    passed = before = 0.0
    last = min(scores)
    for score, group in sorted(zip(scores, groups, strict=True)):
        before, passed = passed, passed + 1 / sizes[group]
        if passed >= rank:
            share = (rank - before) / (passed - before) if before else 1
            return last + share * (score - last)
        last = score
    raise AssertionError


def test_the_nearest_photo_is_one_of_another_group() -> None:
    vectors = at_degrees(0, 5, 60, 90)
    nearest = nearest_in_other_groups(vectors, np.array([0, 0, 2, 3]), np.arange(4))
    assert np.degrees(np.arccos(nearest)) == pytest.approx([60, 55, 30, 30], abs=0.01)


def test_rejection_measures_the_angle_to_the_nearest_photo() -> None:
    rejection = fit_rejection(at_degrees(0, 20, 40), np.arange(3), np.array([0, 0, 1]), sure(3))
    assert rejection is not None
    assert rejection.threshold == pytest.approx(np.cos(np.radians(20)), abs=1e-6)
    assert (rejection.references == at_degrees(0, 20, 40)).all()


def test_a_photo_of_an_uncertain_class_is_unknown_from_above_the_threshold() -> None:
    """`unknown` at 0.01 ln 2 above it has 1/3, as each of two classes that are equally probable."""
    vectors, apart = at_degrees(0, 20, 40), np.arange(3)
    even = np.zeros((3, 2))
    for logits in (even, None):
        rejection = fit_rejection(vectors, apart, np.array([0, 0, 1]), logits)
        assert rejection is not None
        expected = np.cos(np.radians(20)) - 0.01 * np.log(2)
        assert rejection.threshold == pytest.approx(expected, abs=1e-6)


def test_a_burst_counts_as_one_photo() -> None:
    """Of 99 photos the third lowest score counts; copies of the lowest change nothing."""
    degrees = np.cumsum(np.linspace(3.0, 0.5, 99))  # the first is the farthest from the next
    targets = np.zeros(99, np.intp)
    plain = fit_rejection(at_degrees(*degrees), np.arange(99), targets, sure(99))
    copies = [degrees[0]] * 20
    burst = fit_rejection(
        at_degrees(*copies, *degrees),
        np.concatenate([np.zeros(20, np.intp), [0], np.arange(20, 118)]),
        np.zeros(119, np.intp),
        sure(119),
    )
    assert plain is not None
    assert burst is not None
    third = degrees[3] - degrees[2]
    assert np.degrees(np.arccos(plain.threshold)) == pytest.approx(third, abs=0.02)
    assert burst.threshold == pytest.approx(plain.threshold, abs=1e-6)


def test_false_alarms_are_of_photos_that_the_threshold_did_not_see() -> None:
    """Against a loop that leaves out one group after another."""
    random = np.random.default_rng(1)
    vectors = unit(random.normal((2, 0, 0, 0, 0), size=(130, 5)).astype(np.float32))
    groups = np.arange(130)
    groups[50:70] = np.arange(50, 70) // 4 * 4
    targets = np.repeat([0, 1], 65).astype(np.intp)
    rejection = fit_rejection(vectors, groups, targets, sure(130))
    assert rejection is not None
    cosines = vectors.astype(float) @ vectors.T.astype(float)
    scores = [
        max(cosines[one, other] for other in range(130) if groups[other] != groups[one])
        for one in range(130)
    ]
    alarms, sizes = 0.0, Counter(groups.tolist())
    for at in range(130):
        others = [one for one in range(130) if groups[one] != groups[at]]
        threshold = by_rank([scores[one] for one in others], [int(groups[one]) for one in others])
        alarms += (scores[at] < threshold) / sizes[int(groups[at])]
    assert rejection.false_alarm == pytest.approx(alarms / len(sizes))
    assert rejection.false_alarm > 0


@pytest.mark.unmeasured
@pytest.mark.parametrize(("of_class", "draws"), [(10, 20), (40, 4)])
def test_few_new_photos_of_the_classes_are_unknown_and_nearly_all_others(
    base: Model, of_class: int, draws: int
) -> None:
    """On average over draws of the taught photos; the report's estimate is near."""
    random = np.random.default_rng(of_class)
    labels = tuple("abcdef")
    directions = random.normal(size=(6, 24))

    def photographed(targets: IntArray) -> Float32Array:
        noise = 0.65 * random.normal(size=(len(targets), 24))
        return unit((directions[targets] + noise).astype(np.float32))

    shares = []
    for _ in range(draws):
        targets = np.repeat(np.arange(6), of_class)
        photos = [Photo(Path(str(at)), labels[target]) for at, target in enumerate(targets)]
        embedded = EmbeddedPhotos(photos, labels, photographed(targets)[:, np.newaxis], [])
        taught = teach(embedded, base.card, "0" * 64, "letters", Path())
        new = taught.head.probabilities(photographed(np.repeat(np.arange(6), 60)))
        others = taught.head.probabilities(unit(random.normal(size=(300, 24)).astype(np.float32)))
        unknown = [float((found.argmax(axis=1) == 6).mean()) for found in (new, others)]
        shares.append([*unknown, taught.report.false_alarm])
    known, unrelated, estimate = np.mean(np.array(shares, float), axis=0)
    assert 0.01 < known <= 0.05
    assert unrelated >= 0.9
    assert estimate == pytest.approx(known, abs=0.02)


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
        threshold = by_rank(
            nearest, [int(groups[at]) for at in range(total) if targets[at] != label]
        )
        left_out = [at for at in range(total) if targets[at] == label]
        unknown = [cosines[at, others].max() < threshold for at in left_out]
        expected.append(np.mean(unknown))
    assert 0 < max(expected) < 1
    assert rejected_when_left_out(vectors, groups, targets) == pytest.approx(expected)


def test_what_is_left_of_two_classes_with_one_scene_each_rejects_nothing() -> None:
    units, groups = at_degrees(0, 1, 90, 91), np.array([0, 0, 2, 2])
    assert rejected_when_left_out(units, groups, np.array([0, 0, 1, 1])) == [None, None]


def test_one_group_alone_rejects_nothing() -> None:
    assert fit_rejection(at_degrees(0, 1), np.zeros(2, np.intp), np.arange(2), None) is None


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
