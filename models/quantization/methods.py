"""The ladder of ways to quantise a float model after training, from the naive one up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.checkpoints.checkpoint import Affine, LayerWeights, Quantization
from models.export.exported import Exported
from models.network.layers import Conv
from models.network.network import INPUT
from models.quantization.calibration import Activations
from models.quantization.equalize import RELU6_LIMIT, equalize
from models.quantization.quantized_graph import PostTrainingWriter
from models.quantization.ranges import RULES, RangeRule, affine
from models.quantization.rounding import image_affine, quantize_weights


@dataclass(frozen=True, slots=True)
class Method:
    """One rung: what is done to get the integers.

    per_channel   a scale for each output channel of a kernel, else one for the whole kernel
    ranges        the rule for the range of an activation
    relu6_range   0 to 6 after ReLU6 whatever was seen, else the rule
    migration     how much of linear channels' difference equalisation moves; None leaves it out
    correct_bias  take back what rounding adds on average
    float_layers  how many layers, the most sensitive first, stay in float
    """

    name: str
    per_channel: bool = True
    ranges: RangeRule = "minmax"
    relu6_range: bool = False
    migration: float | None = None
    correct_bias: bool = False
    float_layers: int = 0


LADDER: tuple[Method, ...] = (
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
class Prepared:
    """A model in integers, and the same weights in float for layers that stay so."""

    quantization: Quantization
    layers: Mapping[str, LayerWeights]

    def writer(self, float_layers: Iterable[str] = ()) -> PostTrainingWriter:
        """What writes the graph, with these layers left in float."""
        kept = {name: self.layers[name] for name in float_layers}
        return PostTrainingWriter(self.quantization, kept)


def prepare(model: Exported, activations: Mapping[str, Activations], method: Method) -> Prepared:
    """Every layer of a float model in integers by one method."""
    network, layers = model.network, model.checkpoint.layers
    if method.migration is not None:
        equalized = equalize(network, layers, activations, method.migration)
        layers, activations = equalized.layers, equalized.activations
    offset = model.scaling.offset.ravel()
    levels = {INPUT: image_affine(offset), **_levels(model, activations, method)}
    integers = quantize_weights(
        network, layers, activations, levels, offset,
        per_channel=method.per_channel, correct_bias=method.correct_bias,
    )  # fmt: skip
    return Prepared(Quantization(integers, levels), layers)


def _levels(
    model: Exported, activations: Mapping[str, Activations], method: Method
) -> dict[str, Affine]:
    levels = {}
    for node in model.network.nodes:
        if node.name not in activations:
            continue
        clipped = isinstance(node.layer, Conv) and node.layer.activation == "relu6"
        if clipped and method.relu6_range:
            levels[node.name] = affine(0.0, RELU6_LIMIT)
        else:
            levels[node.name] = RULES[method.ranges](activations[node.name])
    return levels
