"""Class activation maps: how much each place of an image speaks for a class.

Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", section 2: where the
features are averaged over all places and a linear classifier reads the mean, a logit is the mean of
what each place adds to it. So the mean of a map is the logit without its bias, to the last digit.
"""

from typing import NamedTuple, TypeAlias

import numpy as np

from app.arrays import Float32Array

# Lists and not an array: an inference leaves no code in the caches, and what NumPy runs for so few
# numbers takes three times as long to fetch.
Grid: TypeAlias = list[list[float]]  # row by row

EVIDENCE = 0.5  # of the maximum, from which a place belongs to the box


class Cells(NamedTuple):
    """A region of the grid: rows and columns from the first to before the last."""

    top: int
    left: int
    bottom: int
    right: int


def class_map(features: Float32Array, weights: Float32Array, mean: float) -> Grid:
    """What each place adds to the logit of a class, [h, w].

    Takes the features [C, h, w] before the pooling, the weights of the class [C], and the logit
    without its bias. What a classifier that rounds adds to that is the same everywhere.
    """
    channels, height, width = features.shape
    places = np.dot(weights, features.reshape(channels, height * width)).tolist()
    rounding = mean - sum(places) / len(places)
    values = [place + rounding for place in places]
    return [values[at : at + width] for at in range(0, len(values), width)]


def evidence(grid: Grid) -> Cells | None:
    """The box around the places [h, w] that speak for the class and touch the strongest one.

    None if no place does.
    """
    strongest = max(map(max, grid))
    if not strongest > 0:
        return None
    # Places are the bits of a number, row by row with a bit that stays 0 between two rows.
    width = len(grid[0])
    step, enough, strong, reached, bit = width + 1, EVIDENCE * strongest, 0, 0, 1
    for row in grid:
        for value in row:
            if value >= enough:
                strong |= bit
                if value == strongest and not reached:
                    reached = bit
            bit <<= 1
        bit <<= 1
    before = 0
    while reached != before:
        before = reached
        beside = reached << 1 | reached >> 1 | reached << step | reached >> step
        reached |= beside & strong
    columns = 0
    found = [at for at in range(len(grid)) if reached >> at * step & (1 << width) - 1]
    for at in found:
        columns |= reached >> at * step & (1 << width) - 1
    left = (columns & -columns).bit_length() - 1
    return Cells(found[0], left, found[-1] + 1, columns.bit_length())
