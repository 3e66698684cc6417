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
from models.checkpoints.checkpoint import LayerWeights
from models.network.layers import Conv
from models.network.network import INPUT, Network, Node
from models.quantization.calibration import Activations

# A channel that was nearly zero during calibration may still become large.
MAX_FACTOR = 32.0
# Values in service may exceed the calibrated maximum.
HEADROOM = 1.1
RELU6_LIMIT = 6.0


@dataclass(frozen=True, slots=True)
class Equalized:
    layers: dict[str, LayerWeights]
    activations: dict[str, Activations]


def equalize(
    network: Network,
    layers: Mapping[str, LayerWeights],
    activations: Mapping[str, Activations],
    migration: float = 0.5,
) -> Equalized:
    """Make the ranges of the channels of every tensor between convolutions more equal.

    `migration` is the share, from 0 to 1, of the difference between linear channels that moves into
    the weights of the next layer.
    """
    layers, activations = dict(layers), dict(activations)
    for group in tensors_with_shared_factors(network):
        factors = _factors(network, group, activations, migration)
        for node in network.nodes:
            if node.name in group and node.name in layers:
                layers[node.name] = _scale_output(layers[node.name], factors)
            if node.name in layers and node.inputs[0] in group:
                layers[node.name] = _scale_input(node, layers[node.name], factors)
        for name in group:
            activations[name] = activations[name].scaled(factors)
    return Equalized(layers, activations)


def tensors_with_shared_factors(network: Network) -> list[frozenset[str]]:
    """Groups of tensors, by name, that must share their factors.

    Excludes tensors with any other reader than a convolution or a sum: the pooled features are an
    output of the model and must not change.
    """
    group = {node.name: {node.name} for node in network.nodes}
    for node in network.nodes:
        if node.layer.kind == "add":
            merged = set.union(group[node.name], *(group[name] for name in node.inputs))
            group |= dict.fromkeys(merged, merged)
    fixed = {INPUT, network.last}
    for node in network.nodes:
        if node.layer.kind != "add" and not isinstance(node.layer, Conv):
            fixed |= {node.name, *node.inputs}
    unique = {frozenset(names): None for names in group.values()}
    return [names for names in unique if names.isdisjoint(fixed)]


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


def _scale_output(weights: LayerWeights, factors: Float32Array) -> LayerWeights:
    return LayerWeights(weights.kernel * factors[:, None, None, None], weights.bias * factors)


def _scale_input(node: Node, weights: LayerWeights, factors: Float32Array) -> LayerWeights:
    shape = (-1, 1, 1, 1) if node.layer.kind == "depthwise" else (1, -1, 1, 1)
    return LayerWeights(weights.kernel / factors.reshape(shape), weights.bias)
