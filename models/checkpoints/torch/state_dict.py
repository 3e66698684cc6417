"""torch's state dicts, whatever file they come in, and the layers that their tensors make.

What is put around all names is taken off: `module.` of DataParallel and of averaged weights,
`_orig_mod.` of torch.compile, `model.` of a Lightning module, and the name that a program gives the
network. Counters are left out.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import (
    Array,
    Checkpoint,
    CheckpointError,
    LayerWeights,
    check_layers,
    errors_with_name,
    fold_batch_norm,
)
from models.checkpoints.torch import safetensors, torch_pickle
from models.network.network import Network

ROOTS = ("features", "blocks", "classifier")  # of a network without a head, or a head alone
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
# how many batches batch norm has seen, how many states an average is of
COUNTERS = ("num_batches_tracked", "n_averaged")


class Convolution(NamedTuple):
    """A layer of ours, and the file's names of its convolution and of its batch norm."""

    layer: str
    conv: str
    norm: str


def read_tensors(path: Path) -> dict[str, Array]:
    """Tensors of a `.safetensors` or `.pth` file by name, what training puts around it taken off.

    Raises:
        CheckpointError: it is neither, damaged, or does not hold a state dict.
    """
    with errors_with_name(path.name), path.open("rb") as file:
        start = file.read(safetensors.START_BYTES)
    if safetensors.is_start(start):
        tensors = safetensors.read_tensors(path)
    else:
        tensors = torch_pickle.read_state_dict(path)
    return _plain(tensors)


def read_layers(
    path: Path, network: Network, convolutions: Iterable[Convolution], classifier: str, eps: float
) -> Checkpoint:
    """Weights of `network`, whose tensors go by the names given, as layers.

    Raises:
        CheckpointError: the file cannot be read, or its tensors are not those of the network.
    """
    tensors = read_tensors(path)
    with errors_with_name(path.name):
        return layers_of(tensors, network, convolutions, classifier, eps)


def layers_of(
    tensors: Mapping[str, Array],
    network: Network,
    convolutions: Iterable[Convolution],
    classifier: str,
    eps: float,
) -> Checkpoint:
    """The same of tensors that were read.

    Raises:
        CheckpointError: they are not those of the network.
    """
    named = tuple(convolutions)
    _check_names(tensors, named, classifier, network)
    layers = {one.layer: _convolution(tensors, one, eps) for one in named}
    layers["classifier"] = _classifier(tensors, classifier)
    check_layers(layers, network)
    return Checkpoint(layers)


def _plain(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Without counters, and without prefixes that every name has."""
    plain = {name: tensors[name] for name in tensors if name.split(".")[-1] not in COUNTERS}
    while plain and (prefix := _common_prefix(plain)):
        plain = {name.removeprefix(prefix): tensor for name, tensor in plain.items()}
    return plain


def _common_prefix(names: Collection[str]) -> str | None:
    """The name of a module that all others are in, such as `module.` or `backbone.`."""
    first, *more = {name.partition(".")[0] for name in names}
    inside = all(name.startswith(f"{first}.") for name in names)
    return f"{first}." if inside and not more and first not in ROOTS else None


def _check_names(
    tensors: Mapping[str, Array],
    convolutions: Iterable[Convolution],
    classifier: str,
    network: Network,
) -> None:
    expected = {f"{classifier}.weight", f"{classifier}.bias"}
    for one in convolutions:
        expected |= {f"{one.conv}.weight", *(f"{one.norm}.{part}" for part in BATCH_NORM)}
    if missing := sorted(expected - tensors.keys()):
        raise CheckpointError(f"tensors are missing: {_few(missing)}")
    if surplus := sorted(tensors.keys() - expected):
        raise CheckpointError(f"tensors are not of this {network.family}: {_few(surplus)}")


def _few(names: list[str], most: int = 8) -> str:
    """The first names; another network lacks hundreds."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _convolution(tensors: Mapping[str, Array], names: Convolution, eps: float) -> LayerWeights:
    kernel = _float32(tensors, f"{names.conv}.weight")
    gamma, beta, mean, variance = (_float32(tensors, f"{names.norm}.{part}") for part in BATCH_NORM)
    with errors_with_name(names.conv):
        return fold_batch_norm(kernel, gamma, beta, mean, variance, eps)


def _classifier(tensors: Mapping[str, Array], name: str) -> LayerWeights:
    kernel, bias = _float32(tensors, f"{name}.weight"), _float32(tensors, f"{name}.bias")
    if kernel.ndim != 2:
        raise CheckpointError(f"{name}.weight is {kernel.shape}, not [classes, channels]")
    return LayerWeights(kernel[:, :, None, None], bias)


def _float32(tensors: Mapping[str, Array], name: str) -> Float32Array:
    tensor = tensors[name]
    if tensor.dtype.kind != "f":
        raise CheckpointError(f"{name} is {tensor.dtype}, not a float")
    return tensor.astype(np.float32)
