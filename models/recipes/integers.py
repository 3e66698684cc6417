"""The integers of a network from its float weights and the numbers that calibration found.

Every operation here is elementwise and exactly rounded (IEEE 754), so the integers are the same on
every machine. Sums and products of matrices are not: their order differs between processors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.arrays import Float32Array, Float64Array
from models.checkpoints.checkpoint import Affine, LayerWeights, Quantization, QuantizedLayer
from models.network.network import Network
from models.recipes.factors import Factors, move_factors

WEIGHT_LEVELS = 127
Corrections = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """Scale of each output channel's weights, and what to add to its bias, in steps of the bias."""

    scales: Float32Array
    corrections: Corrections


@dataclass(frozen=True, slots=True)
class CalibratedNumbers:
    """All that calibration finds: ranges of the activations, factors, and numbers of each layer."""

    activations: Mapping[str, Affine]
    factors: Factors
    layers: Mapping[str, LayerNumbers]


def integer_form(
    network: Network, layers: Mapping[str, LayerWeights], numbers: CalibratedNumbers
) -> Quantization:
    """Move the factors, then round every kernel and bias.

    The first kernel of `layers` expects pixels from which only the offset was subtracted.
    """
    moved = move_factors(network, layers, numbers.factors)
    integers = {
        node.name: round_layer(
            moved[node.name], numbers.activations[node.inputs[0]], numbers.layers[node.name]
        )
        for node in network.nodes
        if node.name in moved
    }
    return Quantization(integers, numbers.activations)


def round_layer(weights: LayerWeights, source: Affine, numbers: LayerNumbers) -> QuantizedLayer:
    """Round kernel and bias of a layer whose input has the affine `source`."""
    bias = np.rint(weights.bias.astype(np.float64) / bias_steps(source, numbers.scales))
    return QuantizedLayer(
        kernel=round_kernel(weights.kernel, numbers.scales),
        scales=numbers.scales,
        zero_points=np.zeros(len(numbers.scales), np.int8),
        bias=(bias + numbers.corrections).astype(np.int32),
    )


def round_kernel(kernel: Float32Array, scales: Float32Array) -> NDArray[np.int8]:
    """A kernel [out, in / groups, height, width] in steps of the scale of its output channel."""
    steps = scales.astype(np.float64)[:, None, None, None]
    rounded = np.rint(kernel.astype(np.float64) / steps)
    return np.clip(rounded, -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8)


def bias_steps(source: Affine, scales: Float32Array) -> Float64Array:
    """Step of each bias [out]: the scale of the input times that of the channel's weights."""
    return np.asarray(source.scale * scales.astype(np.float64))
