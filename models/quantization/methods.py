"""Methods of post-training quantization, from the simplest to the most elaborate."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.checkpoints.checkpoint import Affine
from models.export.exported import Exported
from models.network.layers import Conv
from models.network.network import INPUT
from models.quantization.calibration import Activations
from models.quantization.equalize import RELU6_LIMIT, equalize
from models.quantization.ranges import RULES, RangeRule, affine
from models.quantization.rounding import (
    bias_correction,
    image_affine,
    image_correction,
    in_bias_steps,
    weight_scales,
)
from models.recipes.factors import Factors, move_factors
from models.recipes.integers import CalibratedNumbers, LayerNumbers


@dataclass(frozen=True, slots=True)
class Method:
    """The options of one quantization method.

    per_channel   one scale per output channel of a kernel instead of one per kernel
    ranges        the rule for the range of an activation
    relu6_range   always 0 to 6 after ReLU6 instead of the rule
    migration     equalize, with this share for linear channels; None disables equalization
    correct_bias  compensate the mean rounding error of a layer in its bias
    measure_bias  and then what the layers before have changed, measured layer by layer
    """

    name: str
    per_channel: bool = True
    ranges: RangeRule = "minmax"
    relu6_range: bool = False
    migration: float | None = None
    correct_bias: bool = False
    measure_bias: bool = False


METHODS: tuple[Method, ...] = (
    Method("per_tensor", per_channel=False),
    Method("per_channel"),
    Method("relu6", relu6_range=True),
    Method("percentile", ranges="percentile"),
    Method("mse", ranges="mse"),
    Method("corrected", ranges="percentile", correct_bias=True),
    Method("equalized", ranges="mse", correct_bias=True, migration=0.5),
    Method("measured", ranges="mse", correct_bias=True, migration=0.5, measure_bias=True),
)


def calibrate(
    model: Exported, activations: Mapping[str, Activations], method: Method
) -> CalibratedNumbers:
    """What a method finds for a model with these statistics of its activations."""
    layers = model.checkpoint.layers
    factors: Factors = {}
    if method.migration is not None:
        equalized = equalize(model.network, activations, method.migration)
        factors, activations = equalized.factors, equalized.activations
        layers = move_factors(model.network, layers, factors)
    offset = model.scaling.offset.ravel()
    affines = {INPUT: image_affine(offset), **_affines(model, activations, method)}
    found = {}
    for node in model.network.nodes:
        if node.name not in layers:
            continue
        weights, [source] = layers[node.name], node.inputs
        affine = affines[source]
        scales = weight_scales(weights, affine, method.per_channel)
        shift = np.zeros_like(weights.bias)
        if source == INPUT:
            shift = image_correction(weights, offset, affine)
        elif method.correct_bias:
            shift = bias_correction(node, weights, scales, activations[source], affine)
        found[node.name] = LayerNumbers(scales, in_bias_steps(shift, affine, scales))
    return CalibratedNumbers(affines, factors, found)


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
