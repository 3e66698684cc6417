"""From a foreign graph to one with the inputs and outputs that the service knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from app.card.card import EMBEDDING, FEATURES, INPUT, LOGITS, PROBABILITIES
from app.model.runtime import save_simplified
from models.export.graph import IR_VERSION, InputScaling, Tape
from models.importing.graph.inspect_graph import CHANNEL_AXIS, Features, ImageInput, Scores
from models.importing.graph.optional_outputs import OptionalOutputs
from models.importing.graph.verify import GREY, GREY_BITS, GREY_HALF

TAKEN = "gateway_"  # what the names of new values start with, but for those of the contract
REVERSE = f"{TAKEN}blue_green_red"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a wrapper needs to know; shapes are those at the trained resolution."""

    image: ImageInput
    scaling: InputScaling | None
    output: str
    scores: Scores
    score_axes: int
    classes: int
    background: bool
    features: Features
    feature_shape: tuple[int, ...]
    optional: OptionalOutputs
    bgr: bool = False

    @property
    def pools_here(self) -> bool:
        """Whether the features are still a map."""
        batch = self.feature_shape[0]
        return len(self.feature_shape) == 4 and self.feature_shape != (batch, self.channels, 1, 1)

    @property
    def channels(self) -> int:
        return self.feature_shape[-1 if self.features.channels_last else 1]

    @property
    def outputs(self) -> dict[str, list[int | str]]:
        """Names and shapes of the wrapped graph's outputs, without the batch."""
        shapes: dict[str, list[int | str]] = {
            PROBABILITIES: [max(self.classes - self.background, 2)],
            EMBEDDING: [self.channels],
        }
        if self.optional.logits:
            shapes[LOGITS] = [self.classes]
        if self.optional.features or self.pools_here:
            shapes[FEATURES] = [self.channels, "h", "w"]
        return shapes


def wrap(foreign: onnx.ModelProto, plan: Plan, *, free_batch: bool) -> onnx.ModelProto:
    """Uint8 `image` [N, H, W, 3] in front, `probabilities` and the other outputs behind.

    `free_batch` gives N images at a time, whatever the file fixes, else it is 1; whether the graph
    bears that shows in a run.
    """
    model = onnx.ModelProto()
    model.CopyFrom(foreign)
    graph = model.graph
    names = _clear_names(graph)
    front, back = Tape(), Tape()
    _write_front(front, plan, names)
    _write_back(back, plan, names)
    if plan.image.batch is not None and (free_batch or plan.image.batch > 1):
        _free_reshapes(graph, plan.image.batch)
    batch = "N" if free_batch else 1
    height, width = plan.image.height or "H", plan.image.width or "W"
    nodes = [*front.nodes, *graph.node, *back.nodes]
    constants = [*graph.initializer, *front.constants.values(), *back.constants.values()]
    nodes = _needed(nodes, set(plan.outputs))
    read = {name for node in nodes for name in node.input}
    wrapped = helper.make_graph(
        nodes,
        graph.name or "adopted",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [batch, height, width, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
            for name, shape in plan.outputs.items()
        ],
        [tensor for tensor in constants if tensor.name in read],
    )
    return helper.make_model(
        wrapped,
        opset_imports=_used_domains(model.opset_import, nodes),
        ir_version=max(model.ir_version, IR_VERSION),
        producer_name="mobilenet-gateway",
    )


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same sums with constants and batch norm folded, by onnxruntime."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "simple.onnx"
        save_simplified(model.SerializeToString(), path)
        simple = onnx.load(path)
    imports = _used_domains(simple.opset_import, simple.graph.node)
    del simple.opset_import[:]
    simple.opset_import.extend(imports)
    simple.ir_version = model.ir_version
    simple.producer_name = model.producer_name
    return simple


def _write_front(tape: Tape, plan: Plan, names: dict[str, str]) -> None:
    """From pixels to what the graph takes, in the order in which the field's own code scales.

    Nothing is folded into the first convolution: in a quantised graph one more rounding would
    move values over a step.
    """
    value = INPUT
    channels = plan.image.channels
    shape: tuple[int, ...] = (channels,)
    if channels == 1:
        value = _grey(tape, value, plan.image.uint8)
    if plan.image.layout == "nchw":
        value = tape.emit("Transpose", [value], f"{TAKEN}transposed", perm=[0, 3, 1, 2])
        shape = (channels, 1, 1)
    if plan.scaling is not None:
        value = tape.emit("Cast", [value], f"{TAKEN}float", to=TensorProto.FLOAT)
        for op, name, values in (
            ("Div", "unit", np.float32(255)),
            ("Sub", "centred", np.array(plan.scaling.mean[:channels], np.float32).reshape(shape)),
            ("Div", "scaled", np.array(plan.scaling.std[:channels], np.float32).reshape(shape)),
        ):
            operand = tape.constant(f"{TAKEN}{name}_by", values)
            value = tape.emit(op, [value, operand], f"{TAKEN}{name}")
    if plan.bgr:
        reverse = tape.constant(REVERSE, np.array((2, 1, 0)))
        axis = CHANNEL_AXIS[plan.image.layout]
        value = tape.emit("Gather", [value, reverse], f"{TAKEN}reversed", axis=axis)
    tape.emit("Identity", [value], names.get(plan.image.name, plan.image.name))


def _grey(tape: Tape, value: str, uint8: bool) -> str:
    """RGB as grey by ITU-R 601, in Pillow's own whole numbers, which a float32 holds exactly."""
    value = tape.emit("Cast", [value], f"{TAKEN}colours", to=TensorProto.FLOAT)
    weights = tape.constant(f"{TAKEN}grey_weights", np.array(GREY, np.float32).reshape(3, 1))
    value = tape.emit("MatMul", [value, weights], f"{TAKEN}weighted")
    for op, name, operand in (
        ("Add", "rounding", np.float32(GREY_HALF)),
        ("Div", "grey_share", np.float32(1 << GREY_BITS)),
    ):
        by = tape.constant(f"{TAKEN}{name}_by", operand)
        value = tape.emit(op, [value, by], f"{TAKEN}{name}")
    value = tape.emit("Floor", [value], f"{TAKEN}grey")
    return (
        tape.emit("Cast", [value], f"{TAKEN}grey_pixels", to=TensorProto.UINT8) if uint8 else value
    )


def _write_back(tape: Tape, plan: Plan, names: dict[str, str]) -> None:
    """From scores to `logits` and `probabilities`, from features to `features` and `embedding`."""
    value = names.get(plan.output, plan.output)
    if plan.optional.logits:
        logits = names.get(plan.optional.logits, plan.optional.logits)
        tape.emit("Flatten", [logits], LOGITS, axis=1)
    if plan.scores == "logits":
        value = tape.emit("Softmax", [LOGITS], f"{TAKEN}softmax", axis=1)
    elif plan.score_axes > 2:
        value = tape.emit("Flatten", [value], f"{TAKEN}scores", axis=1)
    if plan.scores == "sigmoid" and plan.classes == 1:
        one = tape.constant(f"{TAKEN}one", np.float32(1))
        other = tape.emit("Sub", [one, value], f"{TAKEN}other")
        value = tape.emit("Concat", [other, value], f"{TAKEN}both", axis=1)
    if plan.scores == "log probabilities":
        value = tape.emit("Exp", [value], f"{TAKEN}softmax")
    if plan.background:
        kept = tape.constant(f"{TAKEN}classes", np.arange(1, plan.classes))
        tape.emit("Gather", [value, kept], PROBABILITIES, axis=1)
    else:
        tape.emit("Identity", [value], PROBABILITIES)

    features = plan.features
    value = names.get(features.value, features.value)
    if features.affine:
        scale, zero = (names.get(name, name) for name in features.affine)
        value = tape.emit("DequantizeLinear", [value, scale, zero], f"{TAKEN}features")
    if plan.pools_here:
        if features.channels_last:
            value = tape.emit("Transpose", [value], f"{TAKEN}map", perm=[0, 3, 1, 2])
        tape.emit("Identity", [value], FEATURES)
        value = tape.emit("GlobalAveragePool", [value], f"{TAKEN}pooled")
    elif plan.optional.features:
        feature_map = names.get(plan.optional.features, plan.optional.features)
        if plan.optional.channels_last:
            tape.emit("Transpose", [feature_map], FEATURES, perm=[0, 3, 1, 2])
        else:
            tape.emit("Identity", [feature_map], FEATURES)
    tape.emit("Flatten", [value], EMBEDDING, axis=1)


def _clear_names(graph: onnx.GraphProto) -> dict[str, str]:
    """Rename the values whose names the wrapper takes; the new names by the old ones."""
    values = {name for node in graph.node for name in [*node.input, *node.output]}
    values |= {value.name for value in graph.input}
    kept = {INPUT, PROBABILITIES, EMBEDDING, LOGITS, FEATURES}
    clashing = kept | {name for name in values if name.startswith(TAKEN)}
    for node in graph.node:  # the wrapper names its nodes like their outputs
        if node.name in kept or node.name.startswith(TAKEN):
            node.name = f"foreign_{node.name}"
    renamed = {name: f"foreign_{name}" for name in clashing & values}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    return renamed


def _free_reshapes(graph: onnx.GraphProto, batch: int) -> None:
    """Let a Reshape take any batch where its target starts with the fixed one."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    for at, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[1] not in tensors:
            continue
        target = numpy_helper.to_array(tensors[node.input[1]])
        if target.size and target[0] == batch:
            name = f"{TAKEN}target_{at}"
            rest = target[1:].tolist()
            if -1 in rest:  # the batch is then a 0, which is "as it was" without this attribute
                kept = [item for item in node.attribute if item.name != "allowzero"]
                del node.attribute[:]
                node.attribute.extend(kept)
            freed = np.array([0 if -1 in rest else -1, *rest], np.int64)
            graph.initializer.append(numpy_helper.from_array(freed, name))
            node.input[1] = name


def _needed(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """The nodes that the outputs depend on, in the same order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _used_domains(
    imports: Iterable[onnx.OperatorSetIdProto], nodes: Iterable[NodeProto]
) -> list[onnx.OperatorSetIdProto]:
    used = {"" if node.domain == "ai.onnx" else node.domain for node in nodes}
    return [item for item in imports if item.domain in used or item.domain == "ai.onnx"]
