"""Array types with the element type in the name; each function documents its shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Uint8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.intp]


def distinct(values: IntArray) -> list[int]:
    """The different values in ascending order; np.unique needs numpy.ma, which the image lacks."""
    return sorted(set(values.tolist()))
