"""State dicts as torch's libraries name them, for networks of any width."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.torch.state_dict import BATCH_NORM, Convolution
from models.export.export import kernel_shapes
from models.network.network import Network

Tensors = dict[str, NDArray[Any]]


def state_dict(network: Network, convolutions: Iterable[Convolution], classifier: str) -> Tensors:
    """2 in each kernel, and in batch norm gamma 3, beta 5, mean 7, variance 0.25.

    The classifier has ones, its bias counts up.
    """
    shapes = kernel_shapes(network)
    tensors: Tensors = {}
    for layer, conv, norm in convolutions:
        shape = shapes[layer]
        tensors[f"{conv}.weight"] = np.full(shape, 2, np.float32)
        for part, value in zip(BATCH_NORM, (3, 5, 7, 0.25), strict=True):
            tensors[f"{norm}.{part}"] = np.full(shape[0], value, np.float32)
        tensors[f"{norm}.num_batches_tracked"] = np.array(9)
    classes, channels, _, _ = shapes["classifier"]
    tensors[f"{classifier}.weight"] = np.ones((classes, channels), np.float32)
    tensors[f"{classifier}.bias"] = np.arange(classes, dtype=np.float32)
    return tensors
