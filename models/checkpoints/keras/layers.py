"""What the layers of a whole saved model of Keras have to be, so that its answers are ours.

The weights alone do not tell: other activations, another pooling or another last layer have tensors
of the same shapes. What is not known to be the same is refused by its name.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from models.checkpoints.checkpoint import CheckpointError

Layer = dict[str, Any]  # `class_name`, `config` and where it gets its input from

CONVOLUTIONS = {"Conv2D", "DepthwiseConv2D"}
NORM = "BatchNormalization"
# They change nothing when a network answers.
INERT = {"InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"}
RELU6 = {"ReLU", "Activation"}
OTHERWISE = 'export the whole model as ONNX, as by model.export("own.onnx", format="onnx")'


def parts_of(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Sequence[Layer], Sequence[Layer]]:
    """Layers in front of the network, its own as far as the last batch norm, and those behind."""
    kinds = [layer["class_name"] for layer in layers]
    start = next((at for at, kind in enumerate(kinds) if kind in CONVOLUTIONS), len(kinds))
    norms = (at for at in range(len(kinds), start, -1) if kinds[at - 1] == NORM)
    end = next(norms, min(start + 1, len(kinds)))
    if start and kinds[start - 1] == "ZeroPadding2D":
        start -= 1
    return layers[:start], layers[start:end], layers[end:]


def check_network(layers: Sequence[Layer]) -> None:
    """Refuse what Keras' own MobileNets do not have between their weights.

    Raises:
        CheckpointError: names the layer.
    """
    for layer in layers:
        same = OF_NETWORK.get(layer["class_name"])
        if same is None or not same(layer["config"]):
            raise _other(layer, "in the network")


def check_head(layers: Sequence[Layer]) -> None:
    """Refuse what is not pooling by the mean, one linear layer and at most one softmax.

    Of scores without a softmax ours is taken.

    Raises:
        CheckpointError: names the layer.
    """
    made: Literal["features", "scores", "probabilities"] = "features"
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind in INERT or kind in ("Flatten", "Reshape"):
            continue
        if made == "features":
            if kind == "GlobalAveragePooling2D" or (kind in RELU6 and OF_NETWORK[kind](config)):
                continue
            if kind == "Dense" or (kind == "Conv2D" and _pair(config, "kernel_size") == [1, 1]):
                made = "scores"
        elif kind not in ("Activation", "Softmax"):
            raise _other(layer, "behind the network")
        activation = "softmax" if kind == "Softmax" else config.get("activation", "linear")
        if made == "scores" and activation == "softmax" and config.get("axis", -1) == -1:
            made = "probabilities"
        elif made == "features" or activation != "linear":
            raise _other(layer, "behind the network")


def _other(layer: Layer, where: str) -> CheckpointError:
    kind, config = layer["class_name"], layer["config"]
    activation = config.get("activation") if isinstance(config, dict) else None
    named = f"{kind} ({activation})" if isinstance(activation, str) else str(kind)
    return CheckpointError(f"its {named[:60]} {where} is not as in Keras' MobileNets: {OTHERWISE}")


def _is_convolution(config: dict[str, Any]) -> bool:
    return config.get("activation", "linear") in (None, "linear") and (
        _pair(config, "dilation_rate") == [1, 1]
    )


def _is_relu6(config: dict[str, Any]) -> bool:
    return config.get("max_value") == 6 and not any(
        config.get(name) for name in ("negative_slope", "threshold")
    )


def _pair(config: dict[str, Any], name: str) -> list[int]:
    """Height and width of a size, which Keras takes as one number too."""
    size = config.get(name, 1)
    return [size, size] if isinstance(size, int) else list(size)


OF_NETWORK: dict[str, Callable[[dict[str, Any]], bool]] = {
    "Conv2D": _is_convolution,
    "DepthwiseConv2D": _is_convolution,
    NORM: lambda config: config.get("epsilon", 0.001) == 0.001,
    "ReLU": _is_relu6,
    "Activation": lambda config: config.get("activation") in ("relu6", "linear"),
    "ZeroPadding2D": lambda config: config.get("padding") == [[0, 1], [0, 1]],
    "Add": lambda _: True,
    "Dropout": lambda _: True,
}
