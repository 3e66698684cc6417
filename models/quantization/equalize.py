"""Cross-layer equalisation: channels that leave most of a tensor's levels unused are scaled up.

A factor above 0 on a channel can be moved from one convolution into the next without changing what
the network computes (Nagel et al. 2019, arXiv 1906.04721, section 4.1). Two cares are taken here.
ReLU6 lets a factor through only as long as the channel stays below 6, so such a channel is scaled
up at most until what was seen of it reaches 6, and the limit that the paper drops stays. And
tensors that are added share their factors, so that residual sums keep working.

What a factor costs is levels of the weights behind it. A depthwise layer has a scale for each
channel and pays nothing; a pointwise one pays, so that only part of the difference is moved there
(as SmoothQuant does, Xiao et al. 2022, arXiv 2211.10438, section 4), and nothing behind a ReLU,
where measurements were worse with it than without.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array
from models.checkpoints.checkpoint import LayerWeights
from models.network.layers import Conv
from models.network.network import INPUT, Network, Node
from models.quantization.calibration import Activations

# A channel that was hardly ever seen to be anything is no measure of what it can be.
LARGEST_FACTOR = 32.0
# Calibration has not seen the largest value there is.
HEADROOM = 1.1
RELU6_LIMIT = 6.0


@dataclass(frozen=True, slots=True)
class Equalized:
    """Weights and activations after the factors were moved."""

    layers: dict[str, LayerWeights]
    activations: dict[str, Activations]


def equalize(
    network: Network,
    layers: Mapping[str, LayerWeights],
    activations: Mapping[str, Activations],
    migration: float = 0.5,
) -> Equalized:
    """Give the channels of every tensor between convolutions more equal ranges.

    `migration` is how much of the difference between linear channels moves into the weights
    behind them, where it costs levels instead: 0 nothing, 1 all.
    """
    layers, activations = dict(layers), dict(activations)
    for group in tied_tensors(network):
        factors = _factors(network, group, activations, migration)
        for node in network.nodes:
            if node.name in group and node.name in layers:
                layers[node.name] = _scale_output(layers[node.name], factors)
            if node.name in layers and node.inputs[0] in group:
                layers[node.name] = _scale_input(node, layers[node.name], factors)
        for name in group:
            activations[name] = activations[name].scaled(factors)
    return Equalized(layers, activations)


def tied_tensors(network: Network) -> list[frozenset[str]]:
    """Names of the tensors that must share their factors, in groups.

    Left out are those that something other than a convolution or a sum reads: the pooled features
    are an output of the model and stay what they are.
    """
    group = {node.name: {node.name} for node in network.nodes}
    for node in network.nodes:
        if node.layer.kind == "add":
            joined = set.union(group[node.name], *(group[name] for name in node.inputs))
            group |= dict.fromkeys(joined, joined)
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
    reach: Float32Array = np.max([activations[name].reach for name in group], axis=0)
    clipped, curved, by_depthwise = _use(network, group)
    factors = np.ones_like(reach)
    if curved and not by_depthwise:
        return factors
    seen = reach > 0
    if clipped:
        factors[seen] = np.maximum(RELU6_LIMIT / (HEADROOM * reach[seen]), 1)
    else:
        share = 1.0 if by_depthwise else migration
        factors[seen] = (reach.max() / reach[seen]) ** share
    return np.asarray(np.minimum(factors, LARGEST_FACTOR), np.float32)


def _use(network: Network, group: frozenset[str]) -> tuple[bool, bool, bool]:
    """Whether ReLU6 makes the tensors, any ReLU does, and depthwise layers alone read them."""
    made_by = {
        node.layer.activation
        for node in network.nodes
        if node.name in group and isinstance(node.layer, Conv)
    }
    read_by = {node.layer.kind for node in network.nodes if not group.isdisjoint(node.inputs)}
    return "relu6" in made_by, made_by != {None}, read_by == {"depthwise"}


def _scale_output(weights: LayerWeights, factors: Float32Array) -> LayerWeights:
    return LayerWeights(weights.kernel * factors[:, None, None, None], weights.bias * factors)


def _scale_input(node: Node, weights: LayerWeights, factors: Float32Array) -> LayerWeights:
    by_channel = (
        factors[:, None, None, None]
        if node.layer.kind == "depthwise"
        else (factors[None, :, None, None])
    )
    return LayerWeights(weights.kernel / by_channel, weights.bias)
