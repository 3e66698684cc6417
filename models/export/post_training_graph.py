"""The QDQ graph of a model quantized after training."""

from app.card.card import EMBEDDING, LOGITS
from models.export.graph import QuantizedWriter
from models.network.network import Node, Step


class PostTrainingWriter(QuantizedWriter):
    """Writes layers as `QuantizedWriter` does, except the pooled features and the logits.

    Unlike in the graph of a TFLite file, they stay in float: the mean of 49 values is finer than
    one level, and users compare embeddings.
    """

    def simple(self, step: Step, op: str) -> None:
        if op == "GlobalAveragePool":
            self.tape.emit(op, list(step.node.inputs), step.node.name)
        else:
            super().simple(step, op)

    def linear(self, node: Node) -> None:
        tape, source = self.tape, node.inputs[0]
        tape.emit("Flatten", [source], EMBEDDING)
        scale, zero = self._affine(source, self.activations[source])
        tape.emit("QuantizeLinear", [EMBEDDING, scale, zero], f"{source}.quantized")
        self._dequantize(source, f"{source}.rounded")
        kernel = self.layers[node.name].kernel
        inputs = [f"{source}.rounded", *self._weights(node, kernel.reshape(len(kernel), -1))]
        tape.emit("Gemm", inputs, LOGITS, node.name, transB=1)
