"""Array types with the element type in the name; each function documents its shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Uint8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.intp]


def median(values: Float32Array, axis: int | None = None) -> Float32Array:
    """The median, with the axis kept; np.median needs numpy.ma, which the image lacks."""
    ordered = np.sort(values, axis=axis)  # flat without an axis
    count = ordered.shape[axis or 0]
    middle: Float32Array = ordered.take([(count - 1) // 2, count // 2], axis=axis or 0)
    found: Float32Array = middle.mean(axis=axis or 0, keepdims=axis is not None)
    return found


def distinct(values: IntArray) -> list[int]:
    """The different values in ascending order; np.unique needs numpy.ma, which the image lacks."""
    return sorted(set(values.tolist()))
