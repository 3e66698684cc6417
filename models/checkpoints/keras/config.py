"""What a whole saved model of Keras says of its pictures: their size, and how they are scaled.

Layers that resize them say the size; how a photo gets to it is for who imports the model to say.
A `.keras` file has it in `config.json`, an `.h5` of `Model.save` in its attribute `model_config`;
files of weights alone say nothing.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from models.checkpoints import stored_zip
from models.checkpoints.checkpoint import CheckpointError, errors_with_name
from models.checkpoints.keras import hdf5
from models.checkpoints.keras.layers import INERT, Layer, check_head, check_network, parts_of

CONFIG, CONFIG_ATTRIBUTE = "config.json", "model_config"
# Arithmetic on a layer's output is a layer of its own, with the number among its arguments.
COMMUTATIVE = {"Multiply", "Add"}
ARITHMETIC = {"TrueDivide", "Divide", "Subtract", *COMMUTATIVE}
# The same in Keras 2, by its `function`; a number that comes first has a node of this name.
OPERATORS = {
    "math.truediv": "TrueDivide",
    "math.divide": "Divide",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.add": "Add",
    "__operators__.add": "Add",
}
CONSTANT = "_CONSTANT_VALUE"
PIXELS = {"class_name": "__keras_tensor__"}  # the output of the layer before
STEPS = ("scale", "offset")  # of a Rescaling layer
ADVICE = "save the weights alone, and say what it does with --mean and --std"
# what reading a configuration raises that Keras did not write
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError)


class Pictures(NamedTuple):
    """What goes into the network: pixel * `scale` + `offset`, `side` x `side`.

    `side` is None where the model takes any or several sizes, `scale` where it scales nothing.
    """

    side: int | None = None
    scale: float | None = None
    offset: float = 0.0


def read_pictures(path: Path) -> Pictures:
    """Read the configuration in a file of Keras, if it has one, and hold it against the family.

    Raises:
        CheckpointError: it is damaged, scales in a way that is not one for all channels, or has
            a layer with which the weights would answer otherwise than in ours.
    """
    text = configuration(path)
    if text is None:
        return Pictures()
    with errors_with_name(path.name):
        try:
            front, network, head = parts_of(list(_layers(json.loads(text))))
            scale, offset = _scaling(front)
            check_network(network)
            check_head(head)
        except DAMAGE as error:
            raise CheckpointError(f"its configuration is damaged: {error!r}") from error
    return Pictures(_side(front), None if (scale, offset) == (1, 0) else scale, offset)


def configuration(path: Path) -> str | None:
    """JSON; None in a file of weights alone."""
    if stored_zip.is_zip(path):
        config = stored_zip.read_entries(path.read_bytes()).get(CONFIG)
        return None if config is None else config.decode("utf-8", "replace")
    with hdf5.open_file(path) as root:
        return hdf5.text(root, CONFIG_ATTRIBUTE)


def _layers(config: Any) -> Iterator[Layer]:
    """Every layer in order, those of models in the model where these stand."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            inner = found.get("config")
            if "class_name" in found and isinstance(inner, dict):
                if "layers" not in inner:
                    yield found
                waiting.append(inner.get("layers"))
        elif isinstance(found, list):
            waiting += reversed(found)


def _side(layers: Iterable[Layer]) -> int | None:
    """The side of the squares that the innermost input takes, or a layer makes that resizes."""
    shape: Any = None
    for layer in layers:
        config = layer["config"]
        if layer["class_name"] == "InputLayer":
            shape = config.get("batch_shape", config.get("batch_input_shape"))  # Keras 3, Keras 2
        elif layer["class_name"] == "Resizing":
            shape = [None, config.get("height"), config.get("width"), 3]
    if not isinstance(shape, list) or len(shape) != 4:
        return None
    height, width = shape[1:3]
    return height if isinstance(height, int) and height == width else None


def _scaling(layers: Iterable[Layer]) -> tuple[float, float]:
    """What all steps together make of a pixel: times the first, plus the second."""
    scale, offset = 1.0, 0.0
    for layer in layers:
        kind = layer["class_name"]
        if kind == "Rescaling":
            factor, shift = (_number(kind, layer["config"].get(name)) for name in STEPS)
        elif kind in ARITHMETIC or kind == "TFOpLambda":
            factor, shift = _arithmetic(layer)
        elif kind in INERT or kind == "Resizing" or _is_augmentation(kind):
            continue
        else:
            raise CheckpointError(f"its {kind} is not understood: {ADVICE}")
        if len(layer.get("inbound_nodes", ())) > 1:
            raise CheckpointError(f"its {kind} is used more than once: {ADVICE}")
        scale, offset = scale * factor, offset * factor + shift
    return scale, offset


def _is_augmentation(kind: str) -> bool:
    """Whether it leaves pictures alone when a network answers; RandomCrop takes their centre."""
    return kind.startswith("Random") and kind != "RandomCrop"


def _arithmetic(layer: Layer) -> tuple[float, float]:
    """What a sum, difference, product or quotient of the pixels and a number makes of them."""
    kind, arguments = _operation(layer)
    if kind in COMMUTATIVE and arguments and _is_number(arguments[0]):
        arguments = arguments[::-1]
    if kind not in ARITHMETIC or len(arguments) != 2 or not _is_pixels(arguments[0]):
        raise CheckpointError(f"its {kind} is no scaling of pixels: {ADVICE}")
    number = _number(kind, arguments[1])
    match kind:
        case "Multiply":
            return number, 0.0
        case "Add":
            return 1.0, number
        case "Subtract":
            return 1.0, -number
    return 1 / number, 0.0


def _operation(layer: Layer) -> tuple[str, list[Any]]:
    """The kind of a piece of arithmetic, and what it is done with."""
    [node, *_] = layer["inbound_nodes"]
    if layer["class_name"] != "TFOpLambda":
        return layer["class_name"], node["args"] if isinstance(node, dict) else []
    # Keras 2: [layer, node, output or number, keyword arguments]
    function = layer["config"]["function"]
    if function not in OPERATORS:
        return f"TFOpLambda ({str(function)[:60]})", []
    first, _, value, others = node
    arguments = [value if first == CONSTANT else PIXELS, others.get("y")]
    if isinstance(arguments[1], list):
        arguments[1] = PIXELS
    return OPERATORS[function], arguments


def _number(kind: str, value: Any) -> float:
    if not _is_number(value):
        raise CheckpointError(f"its {kind} takes {str(value)[:60]}, not one number: {ADVICE}")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pixels(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == PIXELS["class_name"]
