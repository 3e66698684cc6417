"""A network of the family with a head of several linear layers as a graph."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.checkpoints.checkpoint import CheckpointError, LayerWeights
from models.checkpoints.tflite.graph import Graph
from models.checkpoints.torch.head import Dense
from models.network.layers import Conv, GlobalPool, Linear, pads
from models.network.network import INPUT, Network, Step
from models.translation.keras.records import Records

# What may stand between linear layers, by its name in torch in lowercase.
ACTIVATIONS = {"relu": "RELU", "relu6": "RELU6", "elu": "ELU", "tanh": "TANH", "none": None}
FUSED = {"relu": "RELU", "relu6": "RELU6"}


def write_graph(
    network: Network, layers: Mapping[str, LayerWeights], more: Sequence[Dense], activation: str
) -> Graph:
    """`network`, whose classifier is the first layer of the head, and the layers behind it.

    Raises:
        CheckpointError: the network has a layer that neither MobileNet has.
    """
    records = Records()
    side = network.input_shape[1]
    image = value = records.image(side, network.input_shape[0])
    values = {INPUT: image}
    for step in network.steps():
        sources = [values[name] for name in step.node.inputs]
        value = _layer(records, step, sources, layers.get(step.node.name))
        values[step.node.name] = value
    for dense in more:
        kind = ACTIVATIONS[activation]
        if dense.gap and kind is not None:
            value = records.same(kind, [value], f"{dense.name}/{activation}")
        value = _dense(records, value, dense.kernel, dense.bias, dense.name)
    return records.graph(image, value)


def _layer(records: Records, step: Step, sources: list[int], weights: LayerWeights | None) -> int:
    layer, name = step.node.layer, step.node.name
    if isinstance(layer, Conv) and weights is not None:
        return _convolution(records, step, sources[0], weights)
    if isinstance(layer, Linear) and weights is not None:
        return _dense(records, sources[0], weights.kernel[:, :, 0, 0], weights.bias, name)
    if isinstance(layer, GlobalPool):
        axes = records.constant([1, 2], whole=True)
        return records.step("MEAN", [sources[0], axes], (1, step.output_shape[0]), name)
    if layer.kind == "add":
        return records.same("ADD", sources, name)
    raise CheckpointError(f"{name} is a {layer.kind}")


def _convolution(records: Records, step: Step, source: int, weights: LayerWeights) -> int:
    layer, name = step.node.layer, step.node.name
    assert isinstance(layer, Conv)  # noqa: S101  its caller looked
    depthwise = layer.kind == "depthwise"
    kernel = weights.kernel.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    _, height, width = step.input_shapes[0]
    (top, bottom), (left, right) = (
        pads(size, window, layer.stride, layer.padding)
        for size, window in zip((height, width), layer.kernel, strict=True)
    )
    channels, rows, columns = step.output_shape
    value = records.step(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [source, records.constant(kernel), records.constant(weights.bias)],
        (1, rows, columns, channels),
        name,
        stride=(layer.stride, layer.stride),
        padding="VALID",
        pads=(top, left, bottom, right),
    )
    if layer.activation is None:
        return value
    return records.same(FUSED[layer.activation], [value], f"{name}/{layer.activation}")


def _dense(records: Records, source: int, kernel: np.ndarray, bias: np.ndarray, name: str) -> int:
    inputs = [source, records.constant(kernel), records.constant(bias)]
    return records.step("FULLY_CONNECTED", inputs, (1, len(kernel)), name)
