"""Methods of post-training quantization, from the simplest to the most elaborate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from models.checkpoints.checkpoint import Affine, LayerWeights, Quantization
from models.export.exported import Exported
from models.network.layers import Conv
from models.network.network import INPUT
from models.quantization.calibration import Activations
from models.quantization.equalize import RELU6_LIMIT, equalize
from models.quantization.quantized_graph import PostTrainingWriter
from models.quantization.ranges import RULES, RangeRule, affine
from models.quantization.rounding import (
    bias_correction,
    image_affine,
    image_correction,
    quantize_layer,
)


@dataclass(frozen=True, slots=True)
class Method:
    """The options of one quantization method.

    per_channel   one scale per output channel of a kernel instead of one per kernel
    ranges        the rule for the range of an activation
    relu6_range   always 0 to 6 after ReLU6 instead of the rule
    migration     equalize, with this share for linear channels; None disables equalization
    correct_bias  compensate the mean rounding error in the bias
    float_layers  number of layers, most sensitive first, that stay in float
    """

    name: str
    per_channel: bool = True
    ranges: RangeRule = "minmax"
    relu6_range: bool = False
    migration: float | None = None
    correct_bias: bool = False
    float_layers: int = 0


METHODS: tuple[Method, ...] = (
    Method("per_tensor", per_channel=False),
    Method("per_channel"),
    Method("relu6", relu6_range=True),
    Method("percentile", ranges="percentile"),
    Method("mse", ranges="mse"),
    Method("corrected", ranges="percentile", correct_bias=True),
    Method("equalized", ranges="mse", correct_bias=True, migration=0.5),
    Method("mixed", ranges="mse", correct_bias=True, migration=0.5, float_layers=3),
)


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """The integers of a model, and its weights in float for layers that stay in float."""

    quantization: Quantization
    layers: Mapping[str, LayerWeights]

    def writer(self, float_layers: Iterable[str]) -> PostTrainingWriter:
        kept = {name: self.layers[name] for name in float_layers}
        return PostTrainingWriter(self.quantization, kept)


def quantize_model(
    model: Exported, activations: Mapping[str, Activations], method: Method
) -> QuantizedWeights:
    layers: Mapping[str, LayerWeights] = model.checkpoint.layers
    if method.migration is not None:
        equalized = equalize(model.network, layers, activations, method.migration)
        layers, activations = equalized.layers, equalized.activations
    offset = model.scaling.offset.ravel()
    affines = {INPUT: image_affine(offset), **_affines(model, activations, method)}
    integers = {}
    for node in model.network.nodes:
        if node.name not in layers:
            continue
        weights, [source] = layers[node.name], node.inputs
        bias_shift = np.zeros_like(weights.bias)
        if source == INPUT:
            bias_shift = image_correction(weights, offset, affines[INPUT])
        elif method.correct_bias:
            layer = quantize_layer(weights, affines[source], bias_shift, method.per_channel)
            bias_shift = bias_correction(node, weights, layer, activations[source], affines[source])
        integers[node.name] = quantize_layer(
            weights, affines[source], bias_shift, method.per_channel
        )
    return QuantizedWeights(Quantization(integers, affines), layers)


def _affines(
    model: Exported, activations: Mapping[str, Activations], method: Method
) -> dict[str, Affine]:
    affines = {}
    for node in model.network.nodes:
        if node.name not in activations:
            continue
        relu6 = isinstance(node.layer, Conv) and node.layer.activation == "relu6"
        if relu6 and method.relu6_range:
            affines[node.name] = affine(0.0, RELU6_LIMIT)
        else:
            affines[node.name] = RULES[method.ranges](activations[node.name])
    return affines
