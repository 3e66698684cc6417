"""A network with its weights as ONNX nodes: the float graph and the quantised (QDQ) graph.

Both have the input `image`, uint8 RGB [N, H, W, 3] with symbolic N, H and W, and four float32
outputs:

    probabilities  [N, classes]     softmax of the logits; a background class is left out
    embedding      [N, C]           the pooled features
    logits         [N, classes]     with the background class, if there is one
    features       [N, C, h, w]     the last feature map, before the pooling; h = H / 32

The output of every layer, after its activation, is a tensor with the layer's name.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.arrays import Float32Array
from app.card.card import EMBEDDING, FEATURES, LOGITS, PROBABILITIES
from models.checkpoints.checkpoint import Affine, Checkpoint, LayerWeights, Quantization
from models.network.layers import Conv, Linear, pads
from models.network.network import INPUT, Network, Node, Step

OPSET = 17
IR_VERSION = 8  # the newest that onnxruntime 1.14 and other runtimes of its time read
OUTPUTS = {PROBABILITIES, EMBEDDING, LOGITS, FEATURES}
IMAGE_OFFSET = "image_offset"
IMAGE_SCALED = "image_scaled"


@dataclass(frozen=True, slots=True)
class InputScaling:
    """The scaling of the training: (pixel / 255 - mean) / std, per RGB channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def offset(self) -> Float32Array:
        """The pixel value that becomes zero, [1, 3, 1, 1]."""
        return (255 * np.array(self.mean)).astype(np.float32).reshape(1, 3, 1, 1)

    def fold(self, kernel: Float32Array) -> Float32Array:
        """The first kernel [out, 3, h, w] for pixels from which only the offset was subtracted.

        The offset itself cannot be folded into the bias: the zeros of the padding mean the mean
        colour, not black.
        """
        divisor = 255 * np.array(self.std, np.float64).reshape(1, 3, 1, 1)
        return (kernel / divisor).astype(np.float32)


@dataclass(slots=True)
class Tape:
    """The nodes and constants of a graph, in the order in which they were added."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def emit(
        self, op: str, inputs: list[str], output: str, name: str = "", **attributes: Any
    ) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name or output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def float_weights(self, node: Node, weights: LayerWeights) -> list[str]:
        """Add kernel and bias of a layer, a linear kernel as [out, in]; return their names."""
        kernel = weights.kernel
        if node.layer.kind == "linear":
            kernel = kernel.reshape(len(kernel), -1)
        return [
            self.constant(f"{node.name}.weight", np.ascontiguousarray(kernel)),
            self.constant(f"{node.name}.bias", weights.bias),
        ]


class FloatWriter:
    def __init__(self, checkpoint: Checkpoint, scaling: InputScaling) -> None:
        self.tape = Tape()
        self.layers = checkpoint.layers
        self.scaling = scaling

    def input(self) -> None:
        tape = self.tape
        tape.emit("Transpose", [INPUT], "image_nchw", perm=[0, 3, 1, 2])
        tape.emit("Cast", ["image_nchw"], "image_float", to=TensorProto.FLOAT)
        offset = tape.constant(IMAGE_OFFSET, self.scaling.offset)
        tape.emit("Sub", ["image_float", offset], IMAGE_SCALED)

    def conv(self, step: Step, layer: Conv) -> None:
        tape, name = self.tape, step.node.name
        source, weights = step.node.inputs[0], self.layers[name]
        if source == INPUT:
            source = IMAGE_SCALED
            weights = replace(weights, kernel=self.scaling.fold(weights.kernel))
        inputs = [source, *tape.float_weights(step.node, weights)]
        linear = f"{name}.linear" if layer.activation else name
        tape.emit("Conv", inputs, linear, name, **conv_attributes(step, layer))
        if layer.activation:
            bounds = [tape.constant("zero", np.float32(0))]
            if layer.activation == "relu6":
                bounds.append(tape.constant("six", np.float32(6)))
            tape.emit("Clip", [linear, *bounds], name, f"{name}.{layer.activation}")

    def simple(self, step: Step, op: str) -> None:
        self.tape.emit(op, list(step.node.inputs), step.node.name)

    def linear(self, node: Node) -> None:
        self.tape.emit("Flatten", [node.inputs[0]], EMBEDDING)
        weights = self.tape.float_weights(node, self.layers[node.name])
        self.tape.emit("Gemm", [EMBEDDING, *weights], LOGITS, node.name, transB=1)


class QuantizedWriter:
    """Writes layers in QDQ form: uint8 activations, int8 weights, int32 biases.

    A fused ReLU6 needs no Clip: the output's uint8 range ends where the activation does.
    """

    def __init__(self, quantization: Quantization) -> None:
        self.tape = Tape()
        self.layers = quantization.layers
        self.activations = quantization.activations

    def input(self) -> None:
        self.tape.emit("Transpose", [INPUT], "image.quantized", perm=[0, 3, 1, 2])
        self._dequantize(INPUT, IMAGE_SCALED)

    def conv(self, step: Step, layer: Conv) -> None:
        name = step.node.name
        source = IMAGE_SCALED if step.node.inputs[0] == INPUT else step.node.inputs[0]
        weights = self._weights(step.node, self.layers[name].kernel)
        attributes = conv_attributes(step, layer)
        self.tape.emit("Conv", [source, *weights], f"{name}.float", name, **attributes)
        self._quantize(name)

    def simple(self, step: Step, op: str) -> None:
        node = step.node
        output = f"{node.name}.float"
        if op == "GlobalAveragePool":
            # TFLite rounds halves of the mean up, QuantizeLinear rounds them to even. Small maps
            # have many exact halves, so add much less than a rounding step to round them up. In
            # the shape of the mean, as onnxruntime adds a scalar to each channel in another call.
            step_up = np.float32(self.activations[node.name].scale / 1024)
            nudge = np.full((1, *step.output_shape), step_up)
            mean = self.tape.emit(op, list(node.inputs), f"{node.name}.mean", node.name)
            inputs = [mean, self.tape.constant(f"{node.name}.nudge", nudge)]
            self.tape.emit("Add", inputs, output)
        else:
            self.tape.emit(op, list(node.inputs), output, node.name)
        self._quantize(node.name)

    def linear(self, node: Node) -> None:
        tape, source = self.tape, node.inputs[0]
        tape.emit("Flatten", [f"{source}.quantized"], "embedding.quantized")
        self._dequantize(EMBEDDING, EMBEDDING, self.activations[source])
        kernel = self.layers[node.name].kernel
        weights = self._weights(node, kernel.reshape(len(kernel), -1))
        tape.emit("Gemm", [EMBEDDING, *weights], f"{node.name}.float", node.name, transB=1)
        self._quantize(node.name, LOGITS)

    def _weights(self, node: Node, kernel: NDArray[np.int8]) -> list[str]:
        """Emit the dequantised kernel and bias of a layer; return their names."""
        tape, name, layer = self.tape, node.name, self.layers[node.name]
        per_tensor = layer.scales.size == 1
        shape = () if per_tensor else layer.scales.shape
        axis: dict[str, Any] = {} if per_tensor else {"axis": 0}
        kernel_inputs = [
            tape.constant(f"{name}.weight", kernel),
            tape.constant(f"{name}.weight_scale", layer.scales.astype(np.float32).reshape(shape)),
            tape.constant(f"{name}.weight_zero", layer.zero_points.reshape(shape)),
        ]
        scale = np.float32(self.activations[node.inputs[0]].scale) * layer.scales
        bias_inputs = [
            tape.constant(f"{name}.bias", layer.bias),
            tape.constant(f"{name}.bias_scale", scale.astype(np.float32).reshape(shape)),
        ]
        return [
            tape.emit("DequantizeLinear", kernel_inputs, f"{name}.weight_float", **axis),
            tape.emit("DequantizeLinear", bias_inputs, f"{name}.bias_float", **axis),
        ]

    def _quantize(self, name: str, output: str | None = None) -> None:
        """Round the layer's float output to uint8; its dequantised value has the layer's name."""
        scale, zero = self._affine(name, self.activations[name])
        self.tape.emit("QuantizeLinear", [f"{name}.float", scale, zero], f"{name}.quantized")
        self._dequantize(name, output or name)

    def _dequantize(self, name: str, output: str, affine: Affine | None = None) -> None:
        scale, zero = self._affine(name, affine or self.activations[name])
        self.tape.emit(
            "DequantizeLinear", [f"{name}.quantized", scale, zero], output, f"{name}.dequantize"
        )

    def _affine(self, name: str, affine: Affine) -> tuple[str, str]:
        return (
            self.tape.constant(f"{name}.scale", np.float32(affine.scale)),
            self.tape.constant(f"{name}.zero", np.uint8(affine.zero_point)),
        )


def build_graph(
    network: Network, writer: FloatWriter | QuantizedWriter, background: bool
) -> onnx.ModelProto:
    """Write every layer, then softmax.

    `background` drops class 0 from `probabilities`, which do not add up to 1 then.
    """
    tape = writer.tape
    writer.input()
    for step in network.steps():
        layer = step.node.layer
        if isinstance(layer, Conv):
            writer.conv(step, layer)
        elif isinstance(layer, Linear):
            writer.linear(step.node)
        else:
            if layer.kind == "global_pool":
                tape.emit("Identity", [step.node.inputs[0]], FEATURES)
            writer.simple(step, {"global_pool": "GlobalAveragePool", "add": "Add"}[layer.kind])
    classes = network.shape_of("classifier")[0]
    if background:
        tape.emit("Softmax", [LOGITS], "probabilities_and_background", axis=1)
        bounds = [
            tape.constant(f"classes_{key}", [value])
            for key, value in (("start", 1), ("end", classes), ("axis", 1))
        ]
        tape.emit("Slice", ["probabilities_and_background", *bounds], PROBABILITIES)
    else:
        tape.emit("Softmax", [LOGITS], PROBABILITIES, axis=1)
    return _model(network, tape, classes, background)


def _model(network: Network, tape: Tape, classes: int, background: bool) -> onnx.ModelProto:
    channels = network.shape_of("pool")[0]
    shapes: dict[str, list[str | int]] = {
        PROBABILITIES: ["N", classes - background],
        EMBEDDING: ["N", channels],
        LOGITS: ["N", classes],
        FEATURES: ["N", channels, "h", "w"],
    }
    graph = helper.make_graph(
        tape.nodes,
        network.family,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", "H", "W", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        list(tape.constants.values()),
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mobilenet-gateway",
    )


def conv_attributes(step: Step, layer: Conv) -> dict[str, Any]:
    """Attributes of a Conv node; pads are fixed, as every supported size is even at each stride."""
    _, height, width = step.input_shapes[0]
    top, bottom = pads(height, layer.kernel[0], layer.stride, layer.padding)
    left, right = pads(width, layer.kernel[1], layer.stride, layer.padding)
    return {
        "kernel_shape": list(layer.kernel),
        "strides": [layer.stride, layer.stride],
        "pads": [top, left, bottom, right],
        "group": layer.groups,
    }
