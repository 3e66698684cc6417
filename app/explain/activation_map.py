"""Class activation maps: how much each place of an image speaks for a class.

Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", section 2: where the
features are averaged over all places and a linear classifier reads the mean, a logit is the mean of
what each place adds to it. So the mean of a map is the logit without its bias, to the last digit.
"""

from typing import NamedTuple

import numpy as np

from app.arrays import Float32Array

EVIDENCE = 0.5  # of the maximum, from which a place belongs to the box


class Cells(NamedTuple):
    """A region of the grid: rows and columns from the first to before the last."""

    top: int
    left: int
    bottom: int
    right: int


def class_map(features: Float32Array, pooled: Float32Array, weights: Float32Array) -> Float32Array:
    """What each place adds to the logit of a class, [h, w].

    Takes the features [C, h, w] before the pooling, the mean that the classifier reads [C], which
    may be rounded, and its weights for the class [C]. What rounding added is the same everywhere.
    """
    channels, height, width = features.shape
    places = weights @ features.reshape(channels, -1)
    rounding = weights @ pooled - places.mean()
    grid: Float32Array = (places + rounding).reshape(height, width).astype(np.float32)
    return grid


def evidence(grid: Float32Array) -> Cells | None:
    """The box around the places [h, w] that speak for the class and touch the strongest one.

    None if no place does.
    """
    width, strongest_at = grid.shape[1], int(grid.argmax())
    rows = grid.tolist()
    strongest = rows[strongest_at // width][strongest_at % width]
    if not strongest > 0:
        return None
    # Places are the bits of a number, row by row with a bit that stays 0 between two rows: a grid
    # is small, so that calls of NumPy would take longer than the work.
    step, strong, bit = width + 1, 0, 1
    for row in rows:
        for value in row:
            if value >= EVIDENCE * strongest:
                strong |= bit
            bit <<= 1
        bit <<= 1
    reached, before = 1 << strongest_at // width * step + strongest_at % width, 0
    while reached != before:
        before = reached
        beside = reached << 1 | reached >> 1 | reached << step | reached >> step
        reached |= beside & strong
    columns = 0
    found = [row for row in range(len(rows)) if reached >> row * step & (1 << width) - 1]
    for row in found:
        columns |= reached >> row * step & (1 << width) - 1
    left = (columns & -columns).bit_length() - 1
    return Cells(found[0], left, found[-1] + 1, columns.bit_length())
