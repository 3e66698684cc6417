"""The linear layers behind the features of a torch network that was given a head of its own.

A state dict has no layers without weights. Where the names count (`classifier.1`, `classifier.4` of
an `nn.Sequential`), a gap tells that there are some between, such as ReLU and dropout, though not
which; without a gap there are none.
"""

import re
from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import Array, CheckpointError

NORM = {"weight", "bias", "running_mean", "running_var"}
ADVICE = "export it to ONNX (torch.onnx.export)"


class Dense(NamedTuple):
    """A linear layer: kernel [out, in], bias [out]; `gap` is True if others may stand before it."""

    name: str
    kernel: Float32Array
    bias: Float32Array
    gap: bool


def read_head(tensors: Mapping[str, Array], eps: float) -> list[Dense]:
    """Every linear layer in order, batch norm right behind one folded into it.

    Raises:
        CheckpointError: there is another layer, or nothing tells the order.
    """
    layers: list[Dense] = []
    last: str | None = None
    for name in sorted({name.rpartition(".")[0] for name in tensors}, key=_counted):
        parts = {key: tensors[f"{name}.{key}"] for key in _parts(tensors, name)}
        gap = last is not None and _gap(last, name)
        if set(parts) == NORM and layers and not gap:
            layers[-1] = _folded(layers[-1], name, parts, eps)
        elif set(parts) in ({"weight", "bias"}, {"weight"}) and parts["weight"].ndim == 2:
            layers.append(_dense(name, parts, gap))
        else:
            raise CheckpointError(f"{name} of its head is no linear layer; {ADVICE}")
        last = name
    for before, after in pairwise(layers):
        if after.kernel.shape[1] != before.kernel.shape[0]:
            raise CheckpointError(
                f"{after.name} takes {after.kernel.shape[1]} values, and {before.name} gives "
                f"{before.kernel.shape[0]}; {ADVICE}"
            )
    _check_order(layers)
    return layers


def _check_order(layers: list[Dense]) -> None:
    """Reject layers that could change places, unless numbers in their names tell the places."""
    for one, other in combinations(layers, 2):
        if one.kernel.shape == other.kernel.shape and _wordy(one.name) != _wordy(other.name):
            raise CheckpointError(
                f"nothing tells the order of {one.name} and {other.name}; {ADVICE}"
            )


def _wordy(name: str) -> str:
    return re.sub(r"\d+", "", name)


def _counted(name: str) -> list[tuple[int, int, str]]:
    """A key that puts `classifier.10` behind `classifier.4`."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _parts(tensors: Mapping[str, Array], module: str) -> list[str]:
    return [name.rpartition(".")[2] for name in tensors if name.rpartition(".")[0] == module]


def _gap(before: str, after: str) -> bool:
    """Whether layers without weights may stand between two modules."""
    first, second = (name.rpartition(".") for name in (before, after))
    counted = first[2].isdecimal() and second[2].isdecimal() and first[0] == second[0]
    return not (counted and int(second[2]) == int(first[2]) + 1)


def _dense(name: str, parts: Mapping[str, Array], gap: bool) -> Dense:
    kernel = parts["weight"]
    bias = parts.get("bias", np.zeros(len(kernel), np.float32))
    return Dense(
        name, _floats(name, kernel, kernel.shape), _floats(name, bias, kernel.shape[:1]), gap
    )


def _folded(layer: Dense, name: str, parts: Mapping[str, Array], eps: float) -> Dense:
    """The layer with the batch norm behind it, computed in float64."""
    read = {key: _floats(name, values, layer.bias.shape) for key, values in parts.items()}
    variance = read["running_var"].astype(np.float64) + eps
    if not (variance > 0).all():
        raise CheckpointError(f"{name} has a variance that is not above 0")
    scale = read["weight"] / np.sqrt(variance)
    kernel = (layer.kernel * scale[:, None]).astype(np.float32)
    bias = ((layer.bias - read["running_mean"].astype(np.float64)) * scale + read["bias"]).astype(
        np.float32
    )
    return layer._replace(kernel=kernel, bias=bias)


def _floats(name: str, values: Array, shape: tuple[int, ...]) -> Float32Array:
    if values.dtype.kind != "f" or values.shape != shape:
        raise CheckpointError(f"{name} has a tensor {values.shape} of {values.dtype}, not {shape}")
    if not np.isfinite(values).all():
        raise CheckpointError(f"{name} has a weight that is not a finite number")
    made: Float32Array = values.astype(np.float32)
    return made
