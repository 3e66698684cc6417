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
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from app.card import Family
from models.checkpoints import hdf5
from models.checkpoints.canonical import (
    WITH_WEIGHTS,
    Checkpoint,
    CheckpointError,
    Float32,
    LayerWeights,
    check_layers,
    fold_batch_norm,
    template,
)

Tensors = Mapping[str, Float32]
KerasClass = Literal["conv2d", "depthwise_conv2d", "batch_normalization", "dense"]
# tensors of each class of layers, in the order of its `vars`
PARTS: dict[KerasClass, tuple[str, ...]] = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel",),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
}
# what older versions call the kernel of a depthwise layer
DEPTHWISE_KERNEL = "depthwise_kernel"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of Keras Applications that has weights; `part_of` is ours that it becomes part of."""

    name: str
    kind: KerasClass
    part_of: str
    bias: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        parts = PARTS[self.kind]
        return parts if self.bias or "bias" not in parts else parts[:1]


def read(path: Path, family: Family, *, eps: float = 1e-3) -> Checkpoint:
    """Weights of a file with its classifier; `eps` is that of its batch norm.

    Raises:
        CheckpointError: the file cannot be read, or is not a network of that family.
    """
    with hdf5.open_file(path) as root:
        layers = list(keras_layers(family))
        saved = hdf5.group(root, "model_weights") if hdf5.has(root, "model_weights") else root
        by_name = bool(hdf5.names(saved, "layer_names"))
        tensors = _by_name(saved, layers) if by_name else _by_class(saved, layers)
        checkpoint = Checkpoint(_fold(layers, tensors, eps))
        check_layers(checkpoint.layers, template(family))
    return checkpoint


def keras_layers(family: Family) -> Iterator[Layer]:
    """The layers that have weights, in Keras' order: a convolution, then its batch norm."""
    names = _v1_names if family == "mobilenet_v1" else _v2_names
    for node in template(family).nodes:
        if node.layer.kind not in WITH_WEIGHTS:
            continue
        name, norm = names(node.name)
        if node.layer.kind == "linear":
            kind: KerasClass = "conv2d" if family == "mobilenet_v1" else "dense"
            yield Layer(name, kind, node.name, bias=True)
        else:
            depthwise = node.layer.kind == "depthwise"
            yield Layer(name, "depthwise_conv2d" if depthwise else "conv2d", node.name)
            yield Layer(norm, "batch_normalization", node.name)


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


def _by_name(saved: h5py.Group, layers: Sequence[Layer]) -> dict[str, Tensors]:
    """Tensors by Keras' name of the layer, from a file that lists its layers."""
    paths = {name: hdf5.names(hdf5.group(saved, name), "weight_names")
             for name in hdf5.names(saved, "layer_names")}  # fmt: skip
    found = [name for name, weights in paths.items() if weights]
    expected = [layer.name for layer in layers]
    if set(found) == set(expected):
        found = expected
    if len(found) != len(expected):
        raise CheckpointError(_other_layers(found, expected))
    tensors: dict[str, Tensors] = {}
    for layer, name in zip(layers, found, strict=True):
        parts = {_part(path): path for path in paths[name]}
        if set(parts) != set(layer.parts) or len(parts) != len(paths[name]):
            wanted = ", ".join(layer.parts)
            raise CheckpointError(f"{name} has {', '.join(paths[name])}; {wanted} belong there")
        tensors[layer.name] = {
            part: hdf5.tensor(saved, f"{name}/{path}") for part, path in parts.items()
        }
    return tensors


def _part(path: str) -> str:
    """`kernel` of a path such as `conv1/kernel:0`."""
    part = path.rpartition("/")[2].partition(":")[0]
    return "kernel" if part == DEPTHWISE_KERNEL else part


def _other_layers(found: Sequence[str], expected: Sequence[str]) -> str:
    text = f"has {len(found)} layers with weights where the family has {len(expected)}"
    missing, surplus = set(expected) - set(found), set(found) - set(expected)
    if len(missing) < len(expected) / 2:  # or the names are others altogether
        text += f"; missing: {', '.join(sorted(missing)) or 'none'}"
        text += f"; surplus: {', '.join(sorted(surplus)) or 'none'}"
    return text


def _by_class(saved: h5py.Group, layers: Sequence[Layer]) -> dict[str, Tensors]:
    """Tensors by Keras' name of the layer, from a file that counts its layers by class."""
    if not hdf5.has(saved, "layers"):
        raise CheckpointError("has neither a list of layers nor a group of them: no Keras weights")
    stored = hdf5.group(saved, "layers")
    counters = {kind: count() for kind in PARTS}
    tensors: dict[str, Tensors] = {}
    expected = set()
    for layer in layers:
        index = next(counters[layer.kind])
        name = f"{layer.kind}_{index}" if index else layer.kind
        expected.add(name)
        if not hdf5.has(stored, name):
            raise CheckpointError(f"layers/{name}, which is {layer.name} of the family, is missing")
        kept = hdf5.group(stored, f"{name}/vars")
        if set(kept) != {str(at) for at in range(len(layer.parts))}:
            wanted = ", ".join(layer.parts)
            raise CheckpointError(f"layers/{name} has {len(kept)} tensors; {wanted} belong there")
        tensors[layer.name] = {
            part: hdf5.tensor(kept, str(at)) for at, part in enumerate(layer.parts)
        }
    if surplus := [name for name in stored if name not in expected and _has_weights(stored, name)]:
        raise CheckpointError(f"layers are not of the family: {', '.join(sorted(surplus))}")
    return tensors


def _has_weights(stored: h5py.Group, name: str) -> bool:
    """Whether a layer keeps anything that the family's other layers (ReLU, padding) do not."""
    layer = hdf5.group(stored, name)
    return any(key != "vars" or len(hdf5.group(layer, "vars")) > 0 for key in layer)


def _fold(
    layers: Sequence[Layer], tensors: Mapping[str, Tensors], eps: float
) -> dict[str, LayerWeights]:
    """Each convolution and the batch norm behind it as one of our layers."""
    folded = {}
    kernel: Float32 = np.empty(0, np.float32)
    for layer in layers:
        parts = tensors[layer.name]
        if layer.kind != "batch_normalization":
            kernel = _to_oihw(layer, parts["kernel"])
        if layer.bias:
            folded[layer.part_of] = LayerWeights(kernel, parts["bias"])
        elif layer.kind == "batch_normalization":
            vectors = [parts[part] for part in layer.parts]
            gamma, beta, mean, variance = vectors
            try:
                folded[layer.part_of] = fold_batch_norm(kernel, gamma, beta, mean, variance, eps)
            except CheckpointError as error:
                raise CheckpointError(f"{layer.name}: {error}") from None
    return folded


def _to_oihw(layer: Layer, kernel: Float32) -> Float32:
    """A kernel as [out, in / groups, height, width]."""
    if kernel.ndim != (2 if layer.kind == "dense" else 4):
        raise CheckpointError(f"{layer.name} has a kernel {kernel.shape}")
    if layer.kind == "dense":  # [in, out]
        kernel = kernel[None, None]
    # [height, width, in, out]; depthwise: [height, width, channels, 1]
    axes = (2, 3, 0, 1) if layer.kind == "depthwise_conv2d" else (3, 2, 0, 1)
    return np.ascontiguousarray(kernel.transpose(axes))
