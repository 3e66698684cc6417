"""Weights by rule in networks of the real frameworks, for the scripts that record them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.importing.inputs import weights

SOFTER = 16  # keeps the scores, and with them the probabilities, near one another


def fill_torch(network: Any) -> None:
    """Give weights to every convolution, dense layer and batch norm of a torch module, in place."""
    import torch
    from torch import nn

    def by_rule(name: str, like: torch.Tensor, fan_in: int) -> torch.Tensor:
        return torch.from_numpy(weights(name, tuple(like.shape), fan_in))

    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.fill_(1 - module.eps)
                module.bias.copy_(by_rule(name, module.bias, 8))
            elif isinstance(module, nn.Conv2d | nn.Linear):
                softer = SOFTER ** isinstance(module, nn.Linear)
                fan_in = int(np.prod(module.weight.shape[1:])) * softer
                module.weight.copy_(by_rule(name, module.weight, fan_in))
                if module.bias is not None:
                    module.bias.copy_(by_rule(f"{name}.bias", module.bias, 8))


def fill_keras(layers: Iterable[Any]) -> None:
    """Give weights to these layers of Keras, in place."""
    from keras.layers import Dense, DepthwiseConv2D

    for layer in layers:
        for variable in layer.weights:
            sizes = tuple(variable.shape)
            if variable.name == "kernel":
                depthwise = isinstance(layer, DepthwiseConv2D)
                fan_in = int(np.prod(sizes[:2] if depthwise else sizes[:-1]))
                fan_in *= SOFTER ** isinstance(layer, Dense)
                variable.assign(weights(layer.name, sizes, fan_in))
            elif variable.name in ("beta", "bias"):
                variable.assign(weights(f"{layer.name}.{variable.name}", sizes, 8))
            elif variable.name == "moving_variance":
                variable.assign(np.full(sizes, 1 - layer.epsilon, np.float32))


def write_answers(path: Path, answers: Any) -> None:
    """Keep the probabilities [N, classes] that a framework gives, one row a line of JSON."""
    rows = [[float(f"{value:.8g}") for value in row] for row in answers]
    path.write_text(json.dumps(rows) + "\n")
