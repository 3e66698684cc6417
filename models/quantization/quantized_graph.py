"""The QDQ graph of a model quantized after training, with some layers kept in float."""

from collections.abc import Mapping

from app.card.card import EMBEDDING, LOGITS
from models.checkpoints.checkpoint import LayerWeights, Quantization
from models.export.graph import QuantizedWriter, conv_attributes
from models.network.layers import Conv
from models.network.network import INPUT, Node, Step


class PostTrainingWriter(QuantizedWriter):
    """Writes layers as `QuantizedWriter` does, except those of `float_layers`, in float32.

    Unlike in the graph of a TFLite file, pooled features and logits stay in float: the mean of 49
    values is finer than one level, and users compare embeddings.
    """

    def __init__(
        self, quantization: Quantization, float_layers: Mapping[str, LayerWeights]
    ) -> None:
        super().__init__(quantization)
        self.float_layers = float_layers

    def conv(self, step: Step, layer: Conv) -> None:
        tape, node = self.tape, step.node
        if node.name not in self.float_layers or node.inputs[0] == INPUT:
            super().conv(step, layer)
            return
        attributes = conv_attributes(step, layer)
        inputs = [node.inputs[0], *tape.float_weights(node, self.float_layers[node.name])]
        tape.emit("Conv", inputs, f"{node.name}.float", node.name, **attributes)
        self._quantize(node.name)

    def simple(self, node: Node, op: str) -> None:
        if op == "GlobalAveragePool":
            self.tape.emit(op, list(node.inputs), node.name)
        else:
            super().simple(node, op)

    def linear(self, node: Node) -> None:
        tape, source = self.tape, node.inputs[0]
        tape.emit("Flatten", [source], EMBEDDING)
        if node.name in self.float_layers:
            inputs = [EMBEDDING, *tape.float_weights(node, self.float_layers[node.name])]
        else:
            scale, zero = self._affine(source, self.activations[source])
            tape.emit("QuantizeLinear", [EMBEDDING, scale, zero], f"{source}.quantized")
            self._dequantize(source, f"{source}.rounded")
            kernel = self.layers[node.name].kernel
            inputs = [f"{source}.rounded", *self._weights(node, kernel.reshape(len(kernel), -1))]
        tape.emit("Gemm", inputs, LOGITS, node.name, transB=1)
