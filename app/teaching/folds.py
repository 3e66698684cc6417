"""Folds for cross-validation that keep near-duplicates together and classes in proportion."""

from collections.abc import Iterator

import numpy as np

from app.arrays import IntArray, distinct

MAX_FOLDS = 10
MANY_PHOTOS = 300  # from here on five folds are as exact, in half the time
FOLDS_FOR_MANY = 5


def assign_folds(targets: IntArray, groups: IntArray) -> IntArray:
    """The fold of each photo, [N], from its class and its group of near-duplicates.

    There are as many folds as the class with the fewest groups has groups, at most ten. Each class
    is dealt out by itself, the largest groups first, to the fold that has the fewest photos of it.
    A group of several classes follows its first class.
    """
    first_class = {group: int(targets[groups == group][0]) for group in distinct(groups)}
    fold_count = count_folds(targets, groups)
    folds = np.zeros(len(targets), np.intp)
    for target in distinct(targets):
        own = [group for group, first in first_class.items() if first == target]
        sizes = {group: int(np.count_nonzero(groups == group)) for group in own}
        filled = np.zeros(fold_count)
        for group in sorted(own, key=lambda one: -sizes[one]):
            fold = int(filled.argmin())
            folds[groups == group] = fold
            filled[fold] += sizes[group]
    return folds


def count_folds(targets: IntArray, groups: IntArray) -> int:
    """The number of folds that every class can fill, at least 1; with 1, nothing can be tested."""
    fewest = min(len(distinct(groups[targets == target])) for target in distinct(targets))
    limit = FOLDS_FOR_MANY if len(targets) > MANY_PHOTOS else MAX_FOLDS
    return max(1, min(limit, fewest))


def splits(folds: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """For each fold, the indices of the photos to fit on and of those to test on."""
    for fold in distinct(folds):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
