"""Cross-layer equalization: scale up channels that use few of a tensor's quantization levels.

A factor above 0 on a channel can be moved from one convolution into the next without changing the
output of the network (Nagel et al. 2019, arXiv 1906.04721, section 4.1), with two restrictions. A
factor passes through ReLU6 only while the channel stays below 6, so such a channel is scaled up
until its calibrated maximum reaches 6, and the ReLU6 that the paper removes is kept. Tensors that
are added share their factors, so that residual sums stay correct.

A factor reduces the levels that are left for the weights of the next layer. A depthwise layer has a
scale per channel and loses none. A pointwise layer does, so only part of the difference is moved
into it (as in SmoothQuant, Xiao et al. 2022, arXiv 2211.10438, section 4), and none after a ReLU,
where it measured worse.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array
from models.network.layers import Conv
from models.network.network import Network
from models.quantization.calibration import Activations
from models.recipes.factors import STEPS, Factors, tensors_with_shared_factors

# A channel that was nearly zero during calibration may still become large.
MAX_FACTOR = 32.0
# Values in service may exceed the calibrated maximum.
HEADROOM = 1.1
RELU6_LIMIT = 6.0


@dataclass(frozen=True, slots=True)
class Equalized:
    """The factors, and the statistics of the activations after they are applied."""

    factors: Factors
    activations: dict[str, Activations]


def equalize(
    network: Network, activations: Mapping[str, Activations], migration: float = 0.5
) -> Equalized:
    """Make the ranges of the channels of every tensor between convolutions more equal.

    `migration` is the share, from 0 to 1, of the difference between linear channels that moves into
    the weights of the next layer.
    """
    activations, factors = dict(activations), {}
    for first, group in tensors_with_shared_factors(network).items():
        steps = np.floor(_factors(network, group, activations, migration) * STEPS).astype(np.int32)
        if (steps == STEPS).all():
            continue
        factors[first] = steps
        scale = np.asarray(steps / STEPS, np.float32)
        activations |= {name: activations[name].scaled(scale) for name in group}
    return Equalized(factors, activations)


def _factors(
    network: Network,
    group: frozenset[str],
    activations: Mapping[str, Activations],
    migration: float,
) -> Float32Array:
    """Factor of each channel, [channels]."""
    magnitude: Float32Array = np.max([activations[name].magnitude for name in group], axis=0)
    after_relu6, after_relu, before_depthwise = _neighbours(network, group)
    factors = np.ones_like(magnitude)
    if after_relu and not before_depthwise:
        return factors
    used = magnitude > 0
    if after_relu6:
        factors[used] = np.maximum(RELU6_LIMIT / (HEADROOM * magnitude[used]), 1)
    else:
        share = 1.0 if before_depthwise else migration
        factors[used] = (magnitude.max() / magnitude[used]) ** share
    return np.asarray(np.minimum(factors, MAX_FACTOR), np.float32)


def _neighbours(network: Network, group: frozenset[str]) -> tuple[bool, bool, bool]:
    """Whether the group comes from ReLU6, from any ReLU, and is read by depthwise layers only."""
    activations = {
        node.layer.activation
        for node in network.nodes
        if node.name in group and isinstance(node.layer, Conv)
    }
    readers = {node.layer.kind for node in network.nodes if not group.isdisjoint(node.inputs)}
    return "relu6" in activations, activations != {None}, readers == {"depthwise"}
