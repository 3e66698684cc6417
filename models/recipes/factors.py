"""Factors that move from one layer into the next without changing what the network computes.

A factor above 0 on a channel can be moved from one convolution into the next (Nagel et al. 2019,
arXiv 1906.04721, section 4.1). `models.quantization.equalize` chooses them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.arrays import Float32Array
from models.checkpoints.checkpoint import LayerWeights
from models.network.layers import Conv
from models.network.network import INPUT, Network, Node

STEPS = (
    32  # of a factor of 1: factors are whole numbers of 1/32, exact in float32 and short in JSON
)
Factors = Mapping[str, NDArray[np.int32]]  # in 1/STEPS, by the first tensor of each group


def tensors_with_shared_factors(network: Network) -> dict[str, frozenset[str]]:
    """Groups of tensors that must share their factors, by the name of the first.

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
    first: dict[frozenset[str], str] = {}
    for name, names in group.items():
        first.setdefault(frozenset(names), name)
    return {name: names for names, name in first.items() if names.isdisjoint(fixed)}


def move_factors(
    network: Network, layers: Mapping[str, LayerWeights], factors: Factors
) -> dict[str, LayerWeights]:
    """The layers after each group's channels are multiplied by its factors.

    Multiplies and divides elementwise, so the result is the same on every machine.
    """
    layers = dict(layers)
    groups = tensors_with_shared_factors(network)
    for first, steps in factors.items():
        scale = np.asarray(steps, np.float32) / np.float32(STEPS)
        for node in network.nodes:
            if node.name not in layers:
                continue
            if node.name in groups[first]:
                layers[node.name] = _scale_output(layers[node.name], scale)
            if node.inputs[0] in groups[first]:
                layers[node.name] = _scale_input(node, layers[node.name], scale)
    return layers


def _scale_output(weights: LayerWeights, scale: Float32Array) -> LayerWeights:
    return LayerWeights(weights.kernel * scale[:, None, None, None], weights.bias * scale)


def _scale_input(node: Node, weights: LayerWeights, scale: Float32Array) -> LayerWeights:
    shape = (-1, 1, 1, 1) if node.layer.kind == "depthwise" else (1, -1, 1, 1)
    return LayerWeights(weights.kernel / scale.reshape(shape), weights.bias)
