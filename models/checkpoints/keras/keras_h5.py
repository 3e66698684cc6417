"""MobileNetV1 and V2 of Keras Applications, of any width, from either of Keras' two HDF5 layouts.

`.h5`, also inside a whole saved model (group `model_weights`):

    attribute layer_names               layers in the order of the network
    <layer>, attribute weight_names     paths of its tensors, such as <layer>/<layer>/kernel:0

`.weights.h5` of Keras 3, which has no layer names to go by, but counts each class of layers:

    layers/conv2d_<n>/vars/0                     kernel
    layers/batch_normalization_<n>/vars/0 to 3   gamma, beta, moving mean, moving variance
    layers/dense/vars/0 and 1                    kernel, bias

Layers of an `.h5` are told apart by their names if these are those of today's Keras. The published
files of V2 are older and have other names (`mobl3_conv_3_expand`, `Logits`), so otherwise the order
counts, as it does when Keras itself loads a file.

A fine-tuned network may be a layer of another model, and its classifier is whatever dense layer
follows it. In an `.h5` all of its tensors then stand under that one layer, in a `.weights.h5` its
layers are under layers/functional/layers. A `.keras` file has a `.weights.h5` in it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from app.arrays import Float32Array
from app.card.card import Family
from models.checkpoints.checkpoint import (
    WITH_WEIGHTS,
    Checkpoint,
    CheckpointError,
    LayerWeights,
    check_layers,
    errors_with_name,
    fold_batch_norm,
    template,
)
from models.checkpoints.keras import hdf5

Tensors = Mapping[str, Float32Array]
KerasClass = Literal["conv2d", "depthwise_conv2d", "batch_normalization", "dense"]
BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
FAMILIES: tuple[Family, ...] = ("mobilenet_v1", "mobilenet_v2")
# layers of augmentation keep the state of their random numbers, which is no weight
SEEDS = "seed_generator"
# MobileNetV2 as a layer has 156 of its own.
MAX_PARTS = 500


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of Keras Applications that has weights; `part_of` is ours that it becomes part of.

    `parts` are its tensors in the order of its `vars`.
    """

    name: str
    kind: KerasClass
    part_of: str
    parts: tuple[str, ...]

    @property
    def bias(self) -> bool:
        return "bias" in self.parts


def read(path: Path, family: Family, *, eps: float = 1e-3) -> Checkpoint:
    """Weights of a file with its classifier; `eps` is that of its batch norm.

    Raises:
        CheckpointError: the file cannot be read, or is not a network of that family.
    """
    with hdf5.open_file(path) as root:
        layers = list(keras_layers(family))
        saved = _saved(root)
        by_name = bool(hdf5.names(saved, "layer_names"))
        tensors = _by_name(saved, layers) if by_name else _by_class(saved, layers)
        checkpoint = Checkpoint(_fold(layers, tensors, eps))
        check_layers(checkpoint.layers, template(family))
    return checkpoint


def family_of(path: Path) -> Family:
    """The family of a file, by how many batch norms it has.

    Raises:
        CheckpointError: the file cannot be read, or is of neither.
    """
    with hdf5.open_file(path) as root:
        saved = _saved(root)
        if hdf5.names(saved, "layer_names"):
            found = sum("gamma" in map(_part, paths) for paths in _weights(saved).values())
        else:
            network, _ = _groups(saved)
            found = sum(name.startswith("batch_normalization") for name in network)
    counts: dict[Family, int] = {
        family: sum(layer.kind == "batch_normalization" for layer in keras_layers(family))
        for family in FAMILIES
    }
    for family, count_of_family in counts.items():
        if found == count_of_family:
            return family
    known = ", ".join(f"{family} has {wanted}" for family, wanted in counts.items())
    raise CheckpointError(f"{path.name}: has {found} batch norms; {known}")


def keras_layers(family: Family) -> Iterator[Layer]:
    """The layers that have weights, in Keras' order: a convolution, then its batch norm."""
    names = _v1_names if family == "mobilenet_v1" else _v2_names
    for node in template(family).nodes:
        if node.layer.kind not in WITH_WEIGHTS:
            continue
        name, norm = names(node.name)
        if node.layer.kind == "linear":
            kind: KerasClass = "conv2d" if family == "mobilenet_v1" else "dense"
            yield Layer(name, kind, node.name, ("kernel", "bias"))
        else:
            kind = "depthwise_conv2d" if node.layer.kind == "depthwise" else "conv2d"
            yield Layer(name, kind, node.name, ("kernel",))
            yield Layer(norm, "batch_normalization", node.name, BATCH_NORM)


def _v1_names(name: str) -> tuple[str, str]:
    """Keras' names of one of our layers and of its batch norm (keras/applications/mobilenet.py)."""
    if name == "classifier":
        return "conv_preds", ""
    if name == "Conv2d_0":
        return "conv1", "conv1_bn"
    _, index, kind = name.split("_")
    theirs = f"conv_{'dw' if kind == 'depthwise' else 'pw'}_{index}"
    return theirs, f"{theirs}_bn"


def _v2_names(name: str) -> tuple[str, str]:
    """The same for V2 (keras/applications/mobilenet_v2.py)."""
    ends = {
        "stem": ("Conv1", "bn_Conv1"),
        "head": ("Conv_1", "Conv_1_bn"),
        "classifier": ("predictions", ""),
    }
    theirs = name.replace("block_0_", "expanded_conv_")
    return ends.get(name, (theirs, f"{theirs}_BN"))


def _saved(root: h5py.Group) -> h5py.Group:
    """Where the layers are, in a file of weights or in a whole saved model."""
    return hdf5.group(root, "model_weights") if hdf5.has(root, "model_weights") else root


def _weights(saved: h5py.Group) -> dict[str, list[str]]:
    """Paths of the tensors of each layer that has some, in the file's order.

    A layer that is a network has all of its own layers' tensors; they are parted again here.
    """
    weights: dict[str, list[str]] = {}
    for name in hdf5.names(saved, "layer_names"):
        paths = hdf5.names(hdf5.group(saved, name), "weight_names")
        owners = [path.rpartition("/")[0].rpartition("/")[2] for path in paths]
        nested = len(set(owners)) > 1
        for path, owner in zip(paths, owners, strict=True):
            weights.setdefault(owner if nested else name, []).append(f"{name}/{path}")
    return weights


def _by_name(saved: h5py.Group, layers: Sequence[Layer]) -> dict[str, Tensors]:
    """Tensors by Keras' name of the layer, from a file that lists its layers."""
    weights = _weights(saved)
    found, expected = list(weights), [layer.name for layer in layers]
    features = expected[:-1]
    head = [name for name in found if name not in features]
    if set(features) < set(found) and len(head) == 1:
        found = [*features, *head]
    if len(found) != len(expected):
        raise CheckpointError(_other_layers(found, expected))
    tensors: dict[str, Tensors] = {}
    for layer, name in zip(layers, found, strict=True):
        parts = {_part(path): path for path in weights[name]}
        if set(parts) != set(layer.parts) or len(parts) != len(weights[name]):
            stored, wanted = ", ".join(weights[name]), ", ".join(layer.parts)
            raise CheckpointError(f"{name} has {stored}; {wanted} belong there")
        tensors[layer.name] = {part: hdf5.tensor(saved, path) for part, path in parts.items()}
    return tensors


def _part(path: str) -> str:
    """`kernel` of a path such as `conv1/kernel:0`."""
    part = path.rpartition("/")[2].partition(":")[0]
    return "kernel" if part == "depthwise_kernel" else part  # in older versions


def _other_layers(found: Sequence[str], expected: Sequence[str]) -> str:
    text = f"has {len(found)} layers with weights where the family has {len(expected)}"
    missing, surplus = set(expected) - set(found), set(found) - set(expected)
    if len(missing) < len(expected) / 2:  # or the names are others altogether
        text += f"; missing: {', '.join(sorted(missing)) or 'none'}"
        text += f"; surplus: {', '.join(sorted(surplus)) or 'none'}"
    return text


def _by_class(saved: h5py.Group, layers: Sequence[Layer]) -> dict[str, Tensors]:
    """Tensors by Keras' name of the layer, from a file that counts its layers by class."""
    network, around = _groups(saved)
    counters: defaultdict[KerasClass, count[int]] = defaultdict(count)
    tensors: dict[str, Tensors] = {}
    left = {**around, **network}
    for layer in layers:
        index = next(counters[layer.kind])
        name = f"{layer.kind}_{index}" if index else layer.kind
        if layer.bias and name not in network:
            name = next((own for own in left if own.startswith("dense")), name)
        if name not in left:
            raise CheckpointError(f"layers/{name}, which is {layer.name} of the family, is missing")
        kept = hdf5.group(left.pop(name), "vars")
        if set(kept) != {str(at) for at in range(len(layer.parts))}:
            wanted = ", ".join(layer.parts)
            raise CheckpointError(f"layers/{name} has {len(kept)} tensors; {wanted} belong there")
        tensors[layer.name] = {
            part: hdf5.tensor(kept, str(at)) for at, part in enumerate(layer.parts)
        }
    if left:
        raise CheckpointError(f"layers are not of the family: {', '.join(sorted(left))}")
    return tensors


def _groups(saved: h5py.Group) -> tuple[dict[str, h5py.Group], dict[str, h5py.Group]]:
    """Layers with weights by class and number: the network's, and those of a model around it."""
    if not hdf5.has(saved, "layers"):
        raise CheckpointError("has neither a list of layers nor a group of them: no Keras weights")
    network = _with_weights(hdf5.group(saved, "layers"))
    for name, layer in network.items():
        if hdf5.has(layer, "layers"):
            around = {other: network[other] for other in network if other != name}
            return _with_weights(hdf5.group(layer, "layers")), around
    return network, {}


def _with_weights(stored: h5py.Group) -> dict[str, h5py.Group]:
    """The layers that keep anything that others (ReLU, padding, augmentation) do not."""
    return {name: layer for name, layer in hdf5.groups(stored).items() if _has_weights(layer)}


def _has_weights(layer: h5py.Group) -> bool:
    """Whether there are values in it, however deep; a file may hold a group within itself."""
    waiting, seen = [layer], set()
    while waiting:
        found = waiting.pop()
        if (place := hdf5.place(found)) in seen:
            continue
        seen.add(place)
        if len(seen) > MAX_PARTS:
            raise CheckpointError(f"{layer.name} has more than {MAX_PARTS} parts")
        parts = hdf5.groups(found)
        if len(parts.pop("vars", ())):
            return True
        waiting += [part for name, part in parts.items() if name != SEEDS]
    return False


def _fold(
    layers: Sequence[Layer], tensors: Mapping[str, Tensors], eps: float
) -> dict[str, LayerWeights]:
    """Each convolution and the batch norm behind it as one of our layers."""
    folded = {}
    kernel: Float32Array = np.empty(0, np.float32)
    for layer in layers:
        parts = tensors[layer.name]
        if layer.kind != "batch_normalization":
            kernel = _to_oihw(layer, parts["kernel"])
        if layer.bias:
            folded[layer.part_of] = LayerWeights(kernel, parts["bias"])
        elif layer.kind == "batch_normalization":
            gamma, beta, mean, variance = (parts[part] for part in layer.parts)
            with errors_with_name(layer.name):
                folded[layer.part_of] = fold_batch_norm(kernel, gamma, beta, mean, variance, eps)
    return folded


def _to_oihw(layer: Layer, kernel: Float32Array) -> Float32Array:
    """A kernel as [out, in / groups, height, width]."""
    if layer.bias and kernel.ndim == 2:  # a dense layer, [in, out]
        kernel = kernel[None, None]
    if kernel.ndim != 4:
        raise CheckpointError(f"{layer.name} has a kernel {kernel.shape}")
    # [height, width, in, out]; depthwise: [height, width, channels, 1]
    axes = (2, 3, 0, 1) if layer.kind == "depthwise_conv2d" else (3, 2, 0, 1)
    return np.ascontiguousarray(kernel.transpose(axes))
