"""What a foreign graph is: where the image goes in, where scores and features come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from app.arrays import Float32Array
from models.importing.checks import Refused
from models.importing.dialogue.missing import Answer, Question
from models.importing.dialogue.options import Choices
from models.importing.graph.walk_back import PASSING, Trail
from models.onnx_cost.graph_cost import CONVOLUTIONS, POOLS, QUANTIZE_OPS

Layout = Literal["nchw", "nhwc"]
Scores = Literal["logits", "probabilities", "log probabilities", "sigmoid"]
CHANNEL_AXIS: dict[str, int] = {"nchw": 1, "nhwc": 3}
POOLING = {*POOLS, "ReduceMean", "QLinearGlobalAveragePool", "QLinearAveragePool"} - {"Concat"}
AUTHORS: dict[Layout, str] = {"nchw": "PyTorch", "nhwc": "TensorFlow"}
ACTIVATIONS = {"Clip", "Relu", "LeakyRelu", "HardSwish", "HardSigmoid", "Mul", "Div"}
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The input as the file declares it; None is a size that the file leaves open."""

    name: str
    layout: Layout
    uint8: bool
    batch: int | None
    height: int | None
    width: int | None
    channels: int = 3

    @property
    def fixed(self) -> bool:
        return self.height is not None


@dataclass(frozen=True, slots=True)
class Features:
    """The value that becomes the embedding.

    `affine` holds the names of scale and zero point where it is a quantised integer.
    """

    value: str
    affine: tuple[str, str] | None
    channels_last: bool
    pooled_by: str | None


def image_input(graph: onnx.GraphProto, choices: Choices) -> ImageInput:
    """Find the one image that a graph takes.

    Raises:
        Refused: it takes something else, or in more than one way.
    """
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    kinds = [value.type.tensor_type for value in inputs]
    shapes = [_shape(value) for value in inputs]
    listed = ", ".join(f"{value.name} {_text(_shape(value))}" for value in inputs) or "none"
    if any(kind.elem_type in (TensorProto.INT64, TensorProto.INT32) for kind in kinds):
        raise Refused(f"The input is integers ({listed}), as in a text model.")
    shape = shapes[0] if len(shapes) == 1 else None
    if shape is None or len(shape) != 4:
        raise Refused(f"The model must have exactly one input with four axes; it has {listed}.")
    [kind] = kinds
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8):
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise Refused(f"The input is {name}. Supported: float32, uint8.")
    readers = [node for node in graph.node if inputs[0].name in node.input]
    turned = len(readers) == 1 and _turns_to_nchw(readers[0])
    layout = _layout(shape, choices, listed, turned)
    rows, columns = (2, 3) if layout == "nchw" else (1, 2)
    height, width = _size(shape[rows]), _size(shape[columns])
    if height != width:
        raise Refused(
            f"The input is {width or 'any'} x {height or 'any'} pixels. "
            "Only square inputs are supported."
        )
    uint8 = kind.elem_type == TensorProto.UINT8
    channels = _size(shape[CHANNEL_AXIS[layout]]) or 3
    return ImageInput(inputs[0].name, layout, uint8, _size(shape[0]), height, width, channels)


def score_output(graph: onnx.GraphProto, choices: Choices) -> str:
    """Name of the output with the class scores.

    Raises:
        Refused: nothing tells which it is, or it does not have a classifier's shape.
    """
    outputs = {value.name: _shape(value) for value in graph.output}
    listed = ", ".join(f"{name} {_text(shape)}" for name, shape in outputs.items())
    if choices.output is not None:
        if choices.output not in outputs:
            raise Refused(f"Unknown output {choices.output!r}. Outputs: {listed}.")
        return choices.output
    if len(outputs) != 1:
        if _are_boxes(list(outputs.values())):
            raise Refused(
                f"The model has {len(outputs)} outputs ({listed}), as a detector has: boxes and "
                "their classes. Only classifiers are supported. If one of the outputs is the class "
                "scores of the whole image, name it with --output."
            )
        return _ask_output(outputs, listed, choices)
    [output] = graph.output
    if not output.type.HasField("tensor_type"):
        raise Refused(f"The output {output.name} is not a tensor.")
    return str(output.name)


def _are_boxes(shapes: Sequence[Sequence[int | str] | None]) -> bool:
    """Whether outputs are boxes (four numbers each), or maps of several sizes as YOLO has."""
    known = [shape for shape in shapes if shape is not None]
    return any(len(shape) == 3 and shape[-1] == 4 for shape in known) or (
        len(known) > 1 and all(len(shape) > 3 for shape in known)
    )


def _ask_output(outputs: dict[str, list[int | str] | None], listed: str, choices: Choices) -> str:
    """Ask which output has the scores; the first one that may is the stand-in.

    Raises:
        Refused: none may.
    """
    flat = [name for name, shape in outputs.items() if shape is None or len(shape) == 2]
    if not flat:
        raise Refused(
            f"The model has {len(outputs)} outputs ({listed}); a classifier has one score per "
            "class, and none of these has."
        )
    why = f"the model has {len(outputs)} outputs ({listed}), and a classifier has one."
    answers = tuple(
        Answer(f"--output {quote(name)}", "if it has the class scores") for name in flat
    )
    return choices.questions.ask(Question("--output", why, answers), flat[0], tentative=True)


def count_classes(scores: NDArray[np.generic]) -> int:
    """Number of classes of scores [1, classes], with axes of size 1 or without.

    Raises:
        Refused: the scores are not one number a class.
    """
    if scores.dtype != np.float32:
        raise Refused(f"The output is {scores.dtype}, not float scores.")
    wide = [size for size in scores.shape[1:] if size != 1]
    if scores.ndim >= 2 and not wide:
        return 1
    if len(wide) != 1 or scores.ndim < 2:
        kind = {3: "a detector or a sequence model", 4: "a segmentation"}.get(
            scores.ndim, "no classes"
        )
        raise Refused(f"The output is {list(scores.shape)}, not one score per class: {kind}.")
    if not np.isfinite(scores).all():
        raise Refused("The outputs are not finite: the file is damaged.")
    return int(wide[0])


def kind_of_scores(trail: Trail, output: str, scores: Float32Array) -> Scores:
    """What scores [N, classes] are, by the graph's end and by the numbers themselves.

    Raises:
        Refused: they are neither logits nor a distribution over the classes.
    """
    last = trail.maker_behind(output)
    end = last.op_type if last else ""
    rounded = any(node.op_type in QUANTIZE_OPS for node in trail.graph.node)
    sums = scores.sum(axis=1, dtype=np.float64)
    adds_up = bool((scores >= 0).all() and (abs(sums - 1) < SUM_TOLERANCE).all())
    if end in ("Softmax", "QLinearSoftmax"):
        if not adds_up and not rounded:
            raise Refused("The softmax is not over the classes.")
        return "probabilities"
    if end == "LogSoftmax":
        return "log probabilities"
    if end in ("Sigmoid", "QLinearSigmoid"):
        return "sigmoid"
    if scores.shape[1] == 1:
        raise Refused(
            "The model gives one score without a sigmoid or softmax. "
            "Add the sigmoid that makes a probability of it, and convert it again."
        )
    return "probabilities" if adds_up else "logits"


def find_features(trail: Trail, output: str) -> Features:
    """What the first dense layer behind a pool reads, else what the last layer with weights reads.

    Raises:
        Refused: there is no such layer.
    """
    layer = trail.last_weighted(output)
    if layer is None:
        raise Refused(
            "The output depends on no convolution or matrix product: no layer is learned."
        )
    last = found = _features(trail, layer)
    while found.pooled_by is None and layer is not None and layer.op_type not in CONVOLUTIONS:
        layer = trail.last_weighted(found.value)
        if layer is not None:
            found = _features(trail, layer)
    return found if found.pooled_by is not None and found.channels_last else last


def _features(trail: Trail, layer: NodeProto) -> Features:
    """What a layer reads."""
    value, affine = _read_by(trail, layer)
    # of batch norm, or of a translated mean, whose rounding a constant moves
    pool = trail.maker_behind(value, PASSING | ACTIVATIONS | {"Add"})
    return Features(
        value=value,
        affine=affine,
        channels_last=layer.op_type not in CONVOLUTIONS,
        pooled_by=pool.op_type if pool is not None and pool.op_type in POOLING else None,
    )


def _read_by(trail: Trail, layer: NodeProto) -> tuple[str, tuple[str, str] | None]:
    """A layer's input as float, or as an integer with its scale and zero point."""
    value = layer.input[0]
    if layer.op_type.startswith("QLinear") or layer.op_type == "QGemm":
        return value, (layer.input[1], layer.input[2])
    if layer.op_type.endswith("Integer"):
        maker = trail.maker_behind(value, PASSING - {"QuantizeLinear"})
        if maker is None or maker.op_type != "DynamicQuantizeLinear":
            raise Refused(f"The scale of the input of {layer.op_type} is unknown.")
        return maker.input[0], None
    return value, None


def _layout(shape: Sequence[int | str], choices: Choices, listed: str, turned: bool) -> Layout:
    """The layout; `turned` tells that the graph turns its input from NHWC, as a stand-in."""
    possible: list[Layout] = ["nchw", "nhwc"]
    wanted = choices.layout
    found = [layout for layout in possible if shape[CHANNEL_AXIS[layout]] == 3]
    if not found:
        found = [layout for layout in possible if shape[CHANNEL_AXIS[layout]] == 1]
    if not found:
        found = [layout for layout in possible if isinstance(shape[CHANNEL_AXIS[layout]], str)]
    if not found:
        raise Refused(f"No axis of the input has three channels, or one ({listed}).")
    if wanted is not None:
        found = [layout for layout in found if layout == wanted]
        if not found:
            raise Refused(f"--layout is {wanted}, but the input is {listed}.")
    if len(found) != 1:
        why = f"two axes of the input could be the channels ({listed})."
        answers = tuple(Answer(f"--layout {one}", f"as in {AUTHORS[one]}") for one in found)
        question = Question("--layout", why, answers)
        return choices.questions.ask(question, found[-1 if turned else 0], tentative=True)
    return found[0]


def _turns_to_nchw(node: NodeProto) -> bool:
    turns = [list(item.ints) for item in node.attribute if item.name == "perm"]
    return node.op_type == "Transpose" and turns == [[0, 3, 1, 2]]


def _shape(value: onnx.ValueInfoProto) -> list[int | str] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else size.dim_param
        for size in kind.shape.dim
    ]


def _text(shape: list[int | str] | None) -> str:
    return "?" if shape is None else f"[{', '.join(str(size or '?') for size in shape)}]"


def _size(size: int | str) -> int | None:
    return size if isinstance(size, int) else None
