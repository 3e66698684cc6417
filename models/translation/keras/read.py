"""A whole saved model of Keras (`.keras`, `.h5`) as a graph, models in models written out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.keras import hdf5
from models.checkpoints.keras.config import CONSTANT, DAMAGE, OPERATORS, configuration
from models.checkpoints.tflite.graph import Graph
from models.translation.keras.call import NO_NUMBERS, Call, Numbers
from models.translation.keras.layers import write
from models.translation.keras.records import Records
from models.translation.keras.variables import Variables

MODELS = {"Functional", "Model", "Sequential"}
MAX_DEPTH = 20
Layer = Mapping[str, Any]


class AnySizeError(CheckpointError):
    """The model takes images of any size, and no size was given."""


class Reference(NamedTuple):
    """The result of a layer in one of its calls."""

    layer: str
    call: int


def read_graph(path: Path, side: int | None = None) -> Graph | None:
    """Read a file; None if it has weights alone. `side` goes before that of the file.

    Raises:
        AnySizeError: neither it nor `side` says a size.
        CheckpointError: it is damaged, or has a layer that is not known here.
    """
    text = configuration(path)
    if text is None:
        return None
    with hdf5.open_file(path) as root:  # which names the file in errors
        try:
            config = json.loads(text)
            return _Reader(root, side).graph(config)
        except DAMAGE as error:
            raise CheckpointError(f"its configuration is damaged: {error!r}") from error


class _Reader:
    def __init__(self, root: Any, side: int | None) -> None:
        self.root = root
        self.side = side
        self.records = Records()

    def graph(self, config: Layer) -> Graph:
        image = self.records.image(*self._input(config))
        output = self._model(config, [image], "", "", 0)
        return self.records.graph(image, output)

    def _input(self, config: Layer) -> tuple[int, int]:
        """Side and channels of the image."""
        shape = None
        for layer in _walk(config, 0):
            found = layer["config"].get("batch_shape", layer["config"].get("batch_input_shape"))
            if found is not None and len(found) == 4:
                shape = found
                break
        if shape is None:
            raise CheckpointError("does not say the shape of its images")
        _, height, width, channels = shape
        if self.side is None and height is None and width is None:
            raise AnySizeError("takes images of any size")
        if self.side is None and height != width:
            raise CheckpointError(
                f"takes {height} x {width} pixels, and only square inputs are supported"
            )
        return self.side or height, channels

    def _model(self, model: Layer, inputs: list[int], path: str, outermost: str, depth: int) -> int:
        """Write a model; return its result."""
        if depth > MAX_DEPTH:
            raise CheckpointError("has models in models without end")
        config = model["config"]
        layers = list(config["layers"])
        variables = Variables(self.root, path, layers)
        if model["class_name"] == "Sequential":
            value = inputs[0]
            for layer in layers:
                value = self._call(layer, [value], NO_NUMBERS, variables, outermost, depth)
            return value
        return _Wiring(self, layers, variables, outermost, depth).result(config, inputs)

    def _call(
        self,
        layer: Layer,
        inputs: list[int],
        numbers: Numbers,
        variables: Variables,
        outermost: str,
        depth: int,
    ) -> int:
        kind, config = str(layer["class_name"]), layer["config"]
        name = str(config["name"])
        outermost = outermost or name
        if kind in MODELS:
            path = f"{variables.counted[name]}/"
            return self._model(layer, inputs, path, outermost, depth + 1)
        if kind == "TFOpLambda":
            kind = OPERATORS.get(config.get("function", ""), str(config.get("function")))
        weights = variables.of(kind, config, outermost)
        return write(self.records, Call(kind, name, config, inputs, weights, numbers))


class _Wiring:
    """The calls of a functional model's layers, each written where it is first needed."""

    def __init__(
        self, reader: _Reader, layers: list[Layer], variables: Variables, outermost: str, depth: int
    ) -> None:
        self.reader = reader
        self.layers = {str(layer["config"]["name"]): layer for layer in layers}
        self.variables = variables
        self.outermost = outermost
        self.depth = depth
        self.values: dict[Reference, int] = {}

    def result(self, config: Layer, inputs: list[int]) -> int:
        for name, value in zip(_ends(config["input_layers"]), inputs, strict=True):
            self.values[Reference(name.layer, 0)] = value
        outputs = _ends(config["output_layers"])
        if len(outputs) != 1:
            raise CheckpointError(f"has {len(outputs)} outputs; a classifier has one")
        for layer in self.layers.values():  # in their order, so that no call is deep
            for call in range(len(layer.get("inbound_nodes", ()))):
                self._value(Reference(str(layer["config"]["name"]), call))
        return self._value(outputs[0])

    def _value(self, wanted: Reference, pending: frozenset[Reference] = frozenset()) -> int:
        if wanted in self.values:
            return self.values[wanted]
        layer = self.layers[wanted.layer]
        nodes = layer["inbound_nodes"]
        node = nodes[wanted.call] if wanted.call < len(nodes) else nodes[0]
        if wanted in pending or len(pending) > 2 * len(self.layers):
            raise CheckpointError(f"{wanted.layer} is made of itself")
        sources, numbers = _arguments(node)
        inputs = [self._value(source, pending | {wanted}) for source in sources]
        self.values[wanted] = self.reader._call(
            layer, inputs, numbers, self.variables, self.outermost, self.depth
        )
        return self.values[wanted]


def _ends(found: Any) -> list[Reference]:
    """`["name", 0, 0]`, or a list of those."""
    if found and isinstance(found[0], str):
        found = [found]
    return [Reference(str(one[0]), int(one[1])) for one in found]


def _arguments(node: Any) -> tuple[list[Reference], Numbers]:
    """What a call gets: results of layers, and numbers. Keras 3 has a dict, Keras 2 a list."""
    given: list[Reference | float] = []

    def take(found: Any) -> None:
        if isinstance(found, dict) and found.get("class_name") == "__keras_tensor__":
            layer, call, _ = found["config"]["keras_history"]
            given.append(Reference(str(layer), int(call)))
        elif isinstance(found, list) and found and isinstance(found[0], str):
            if found[0] == CONSTANT:
                given.append(float(found[2]))
            else:
                given.append(Reference(found[0], int(found[1])))
            if len(found) > 3 and isinstance(found[3], dict):
                take(found[3].get("y", found[3].get("x")))
        elif isinstance(found, list):
            for one in found:
                take(one)
        elif isinstance(found, int | float) and not isinstance(found, bool):
            given.append(float(found))

    take(node["args"] if isinstance(node, dict) else node)
    sources = [one for one in given if isinstance(one, Reference)]
    values = tuple(one for one in given if not isinstance(one, Reference))
    return sources, Numbers(values, bool(given) and not isinstance(given[0], Reference))


def _walk(model: Layer, depth: int) -> list[Layer]:
    """Every layer in order, outer ones first."""
    if depth > MAX_DEPTH:
        raise CheckpointError("has models in models without end")
    found: list[Layer] = []
    for layer in model["config"]["layers"]:
        found.append(layer)
        if layer["class_name"] in MODELS:
            found += _walk(layer, depth + 1)
    return found
