"""A taught head and its base as one ONNX file, which runs without either."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from app.card.card import EMBEDDING, FEATURES, INPUT, LOGITS, PROBABILITIES
from app.heads.head import STEP, Head
from models.export.export import write_checked
from models.files.onnx_file import read_model

PREFIX = "taught."  # of the names of nodes and values, which no base has


def export_head(head: Head, base: Path, folder: Path) -> Path:
    """Write `<name>.onnx` into `folder`: the base's graph up to the embedding, then the head.

    Raises:
        OnnxFileError: the base is not a readable ONNX model.
        onnx.checker.ValidationError: the graph is not valid ONNX.
    """
    model = _trunk(read_model(base))
    graph = model.graph
    writer = _Writer(graph)
    unit = writer.node("unit", "LpNormalization", EMBEDDING, axis=1, p=2)
    weights, bias = writer.constant("weights", head.weights), writer.constant("bias", head.bias)
    logits = writer.node(LOGITS, "Gemm", unit, weights, bias, transB=1)
    if head.rejects:
        writer.with_unknown(writer.node("classes", "Softmax", logits, axis=1), unit, head)
    else:
        writer.node(PROBABILITIES, "Softmax", logits, axis=1)
    widths = {PROBABILITIES: len(head.card.labels), LOGITS: len(head.bias)}
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in widths.items()
    ]
    kept = list(graph.output)
    del graph.output[:]
    graph.output.extend([outputs[0], *kept, outputs[1]])
    card = head.card.model_copy(update={"base_sha256": None})
    return write_checked(model, card, folder)


def _trunk(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of a model that its embedding needs, with its feature map if it has one."""
    present = [output.name for output in model.graph.output]
    kept = [name for name in (EMBEDDING, FEATURES) if name in present]
    trunk = Extractor(model).extract_model([INPUT], kept)
    del trunk.metadata_props[:]
    return trunk


class _Writer:
    """Appends the nodes of a head to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def constant(self, name: str, values: np.ndarray) -> str:
        self._graph.initializer.append(numpy_helper.from_array(values, PREFIX + name))
        return PREFIX + name

    def node(self, name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; return the name of its first output."""
        output = name if name in (PROBABILITIES, LOGITS) else PREFIX + name
        outputs = [output, f"{PREFIX}{name}.index"] if operator == "TopK" else [output]
        node = helper.make_node(operator, inputs, outputs, PREFIX + name, **attributes)
        self._graph.node.append(node)
        return output

    def with_unknown(self, classes: str, unit: str, head: Head) -> None:
        """The probabilities of the classes and of `unknown`, as `Head.probabilities` computes."""
        references = self.constant("references", np.ascontiguousarray(head.references.T))
        threshold = self.constant("threshold", np.array([head.threshold], np.float32))
        steepness = self.constant("steepness", np.array([1 / STEP], np.float32))
        one, count = np.array([1], np.float32), np.array([1], np.int64)
        similarities = self.node("similarities", "MatMul", unit, references)
        # Not ReduceMax, whose axes are an attribute or an input, by the base's version of ONNX.
        nearest = self.node("nearest", "TopK", similarities, self.constant("count", count))
        above = self.node("above", "Sub", nearest, threshold)
        known = self.node("known", "Sigmoid", self.node("steep", "Mul", above, steepness))
        shares = self.node("shares", "Mul", classes, known)
        unknown = self.node("unknown", "Sub", self.constant("one", one), known)
        self.node(PROBABILITIES, "Concat", shares, unknown, axis=1)
