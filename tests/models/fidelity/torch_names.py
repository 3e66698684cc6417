"""A state dict whose weights follow from its tensors' names, for any network that torch knows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.export import derived_weights

Float32 = NDArray[np.float32]
CLASSIFIER_GAIN = 1.5  # so that probabilities are neither all alike nor all 0 and 1
PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}


def derive(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Float32]:
    """Every tensor of a state dict but its counters, from names and shapes alone."""
    norms = {name.removesuffix(".running_var") for name in shapes if name.endswith("running_var")}
    return {
        name: _tensor(name, shape, norms)
        for name, shape in shapes.items()
        if not name.endswith("num_batches_tracked")
    }


def _tensor(name: str, shape: tuple[int, ...], norms: set[str]) -> Float32:
    module, _, part = name.rpartition(".")
    if module in norms:
        return derived_weights.batch_norm(module, shape[0])[PARTS[part]]
    if len(shape) == 1:
        return derived_weights.bias(name, shape[0])
    kernel = derived_weights.kernel(name, shape, fan_in=int(np.prod(shape[1:])))
    return kernel * np.float32(CLASSIFIER_GAIN) if len(shape) == 2 else kernel
