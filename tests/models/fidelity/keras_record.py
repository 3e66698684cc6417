"""The recorded answers of Keras (see `record_keras.py`, which needs Keras; this does not)."""

import json
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.card.card import Family
from models.export import derived_weights
from tests.models.fidelity.answers import Answer, pairs
from tests.models.fidelity.inputs import Input, packaged_inputs

RECORD = Path(__file__).with_name("keras_mobilenets.json")
CASES: tuple[tuple[Family, float, int], ...] = (
    ("mobilenet_v1", 0.25, 128),
    ("mobilenet_v1", 0.5, 160),
    ("mobilenet_v1", 0.75, 192),
    ("mobilenet_v1", 1.0, 224),
    ("mobilenet_v2", 0.35, 96),
    ("mobilenet_v2", 0.5, 128),
    ("mobilenet_v2", 0.75, 160),
    ("mobilenet_v2", 1.0, 192),
    ("mobilenet_v2", 1.3, 224),
    ("mobilenet_v2", 1.4, 224),
)


@dataclass(frozen=True, slots=True)
class KerasCase:
    """A network of Keras: what its files look like, and what it answers.

    `layers` has shapes by path for every layer in the order of the network; `groups` has the name
    of the layer for every group of a `.weights.h5` file that has weights, "" for the others.
    """

    family: Family
    alpha: float
    resolution: int
    layers: dict[str, dict[str, tuple[int, ...]]]
    groups: dict[str, str]
    answers: list[dict[str, Any]]

    def recorded(self) -> list[tuple[Input, Answer]]:
        """Each input with what Keras said to it."""
        return pairs(inputs(self.resolution), self.answers, RECORD, "record_keras.py")


def inputs(resolution: int) -> list[Input]:
    """The centres of the four photos that scikit-image ships."""
    return [one for one in packaged_inputs(resolution) if one.name.endswith("/centre")]


def derived_tensor(path: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor that stands at `layer/part` of a Keras network, by the project's one rule."""
    layer, _, part = path.rpartition("/")
    if part == "kernel":
        # [height, width, in, out], [in, out], or [height, width, channels, 1] of a depthwise layer
        fan_in = prod(shape[:2]) if len(shape) == 4 and shape[3] == 1 else prod(shape[:-1])
        return derived_weights.kernel(path, shape, fan_in)
    if part == "bias":
        return derived_weights.bias(path, shape[0])
    return derived_weights.batch_norm(layer, shape[0])[part.removeprefix("moving_")]


@cache
def keras_case(family: Family, alpha: float) -> KerasCase:
    """The recorded network of that family and width."""
    record = json.loads(RECORD.read_text("utf-8"))
    [case] = [
        case for case in record["cases"] if (case["family"], case["alpha"]) == (family, alpha)
    ]
    layout, shapes = record["layouts"][family], iter(case["shapes"])
    layers = {
        name: {path: tuple(next(shapes)) for path in paths}
        for name, paths in layout["layers"].items()
    }
    return KerasCase(family, alpha, case["resolution"], layers, layout["groups"], case["answers"])
