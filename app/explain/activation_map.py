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
    top, left = np.unravel_index(int(grid.argmax()), grid.shape)
    strongest = float(grid[top, left])
    if not strongest > 0:
        return None
    strong = grid >= EVIDENCE * strongest
    reached, edge = {(int(top), int(left))}, [(int(top), int(left))]
    while edge:
        row, column = edge.pop()
        for place in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= place[0] < grid.shape[0] and 0 <= place[1] < grid.shape[1]
            if inside and place not in reached and strong[place]:
                reached.add(place)
                edge.append(place)
    rows, columns = zip(*reached, strict=True)
    return Cells(min(rows), min(columns), max(rows) + 1, max(columns) + 1)
