"""The one form that every checkpoint reader gives, whatever file the weights came in.

Layers go by the names of `models.network.mobilenet_v1` and `models.network.mobilenet_v2`,
kernels are laid out as ONNX wants them, and batch norm is already part of kernel and bias.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.arrays import Float32Array
from app.card.card import Family
from models.network.design import PAPER_DESIGN, Design, define
from models.network.network import INPUT, Network, Node

Array = NDArray[Any]
WITH_WEIGHTS = {"conv", "depthwise", "pointwise", "linear"}


class CheckpointError(Exception):
    """A checkpoint cannot be read; the text names the file, tensor or layer and says why."""


@contextmanager
def errors_with_name(name: str) -> Iterator[None]:
    """Put the name of a file, tensor or layer before the text of an error.

    Raises:
        CheckpointError: the block raises it, or an OSError.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{name}: {error.strerror}") from error
    except CheckpointError as error:
        raise type(error)(f"{name}: {error}") from error


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """A convolution, batch norm folded: kernel [out, in / groups, height, width], bias [out].

    The classifier is the 1x1 convolution that it is: kernel [classes, channels, 1, 1].
    """

    kernel: Float32Array
    bias: Float32Array


@dataclass(frozen=True, slots=True)
class Affine:
    """What a uint8 activation q stands for: real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """A convolution in integers.

    kernel int8 [out, in / groups, height, width] with float32 `scales` and int8 `zero_points` of
    shape [1] or [out]; bias int32 [out], its scale that of the input times that of the kernel and
    its zero point 0.
    """

    kernel: NDArray[np.int8]
    scales: Float32Array
    zero_points: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Quantization:
    """The integer form of a checkpoint.

    `activations` has what comes out of each layer after its fused activation, of each residual sum
    and of `pool`, and the network's input `image`.
    """

    layers: Mapping[str, QuantizedLayer]
    activations: Mapping[str, Affine]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of one network by layer name; `quantization` where the file was trained for it."""

    layers: Mapping[str, LayerWeights]
    quantization: Quantization | None = None


def template(family: Family, design: Design = PAPER_DESIGN, alpha: float = 1.0) -> Network:
    """The family's layers, names, strides and wiring; the channels of a checkpoint may differ.

    Only a V2 narrower than 0.3 has more residual sums: there more channels in a row are the same.

    Raises:
        CheckpointError: there is no such family to read weights for.
    """
    try:
        return define(family, alpha, design=design)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def fold_batch_norm(
    kernel: Float32Array,
    gamma: Float32Array,
    beta: Float32Array,
    mean: Float32Array,
    variance: Float32Array,
    eps: float,
    conv_bias: Float32Array | None = None,
) -> LayerWeights:
    """Make a convolution and the batch norm behind it one convolution with a bias.

    kernel is [out, in / groups, height, width], all others are [out]. Computed in float64.

    Raises:
        CheckpointError: shapes that do not fit, or a variance that is not above -eps.
    """
    vectors = [gamma, beta, mean, variance, *([] if conv_bias is None else [conv_bias])]
    if kernel.ndim != 4 or any(vector.shape != kernel.shape[:1] for vector in vectors):
        shapes = ", ".join(str(vector.shape) for vector in vectors)
        raise CheckpointError(f"a kernel {kernel.shape} does not go with batch norm of {shapes}")
    if not (variance.astype(np.float64) + eps > 0).all():
        raise CheckpointError(f"a variance plus eps {eps:g} is not above 0")
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + eps)
    shift = -mean.astype(np.float64) if conv_bias is None else conv_bias.astype(np.float64) - mean
    return LayerWeights(
        kernel=(kernel * scale[:, None, None, None]).astype(np.float32),
        bias=(beta + shift * scale).astype(np.float32),
    )


def check_layers(layers: Mapping[str, LayerWeights], network: Network) -> None:
    """Check that the layers are those of `network` and feed each other, whatever their width.

    Raises:
        CheckpointError: names the first layer that is missing, surplus, misshapen or not finite.
    """
    expected = [node.name for node in network.nodes if node.layer.kind in WITH_WEIGHTS]
    if missing := [name for name in expected if name not in layers]:
        raise CheckpointError(f"no weights for {', '.join(missing)}.")
    if surplus := sorted(set(layers) - set(expected)):
        raise CheckpointError(f"weights for {', '.join(surplus)}, which the network does not have")
    channels = {INPUT: network.input_shape[0]}
    for node in network.nodes:
        entering = [channels[source] for source in node.inputs]
        if len(set(entering)) != 1:
            raise CheckpointError(f"{node.name} cannot add {entering} channels")
        channels[node.name] = entering[0]
        if node.name in layers:
            _check_layer(node, layers[node.name], entering[0])
            channels[node.name] = layers[node.name].bias.size


def _check_layer(node: Node, weights: LayerWeights, entering: int) -> None:
    out = weights.bias.size
    outer = (entering, 1) if node.layer.kind == "depthwise" else (out, entering)
    wanted = (*outer, *node.layer.kernel)
    if out < 1 or weights.bias.ndim != 1 or weights.kernel.shape != wanted:
        raise CheckpointError(
            f"{node.name} has a kernel {weights.kernel.shape} and a bias {weights.bias.shape}; "
            f"{entering} channels come in, so the kernel has to be {wanted}"
        )
    if not (np.isfinite(weights.kernel).all() and np.isfinite(weights.bias).all()):
        raise CheckpointError(f"{node.name} has a weight that is not a finite number")
