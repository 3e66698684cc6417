"""onnxruntime as the judge of an ONNX file whose ends, or whose 16-bit floats, were changed."""

from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

from models.importing.graph.verify import Runner
from models.translation.onnx.ends import SHIFT, input_affine, with_float_scores, with_pixels
from models.translation.onnx.half_floats import with_single_floats

# In 16 bits, too, every layer rounds: a trained MobileNetV2 is 0.005 off itself in 32.
TOLERANCE = 0.02
IN_16_BITS = (
    "The file computes in float16, where every layer rounds. "
    "Export it in float32: torch.onnx.export(model.float(), ...)."
)


class OnnxJudge:
    """The file as it was, fed what its own input takes."""

    name = "onnxruntime"
    tolerance = TOLERANCE
    rounds_at_run_time = False

    def __init__(self, original: onnx.ModelProto, output: str | None = None) -> None:
        self.runner = Runner(original)
        weights = {tensor.name: tensor for tensor in original.graph.initializer}
        [source] = _images(original.graph)
        self.source = source.name
        self.signed = source.type.tensor_type.elem_type == TensorProto.INT8
        self.levels = input_affine(original)
        self.half = source.type.tensor_type.elem_type == TensorProto.FLOAT16
        self.advice = IN_16_BITS if _computes_in_half(original.graph) else ""
        outputs = [value.name for value in original.graph.output]
        self.output = output if output in outputs else outputs[0]
        makers = {name: node for node in original.graph.node for name in node.output}
        last = makers.get(self.output, NodeProto())
        constants = [weights[name] for name in last.input[1:] if name in weights]
        parts = [numpy_helper.to_array(one) for one in constants]
        quantised = last.op_type == "QuantizeLinear"
        self.affine = (*map(float, parts), 0.0)[:2] if quantised else (1.0, 0.0)

    @classmethod
    def of(cls, model: onnx.ModelProto, output: str | None = None) -> Self | None:
        """Change the model; None if its ends are floats or pixels and its floats have 32 bits.

        `output` names the scores where it has several outputs.
        """
        original = onnx.ModelProto()
        original.CopyFrom(model)
        changed = [with_single_floats(model), with_pixels(model), with_float_scores(model)]
        judged = any(changed) and len(_images(original.graph)) == 1  # what else is rejected later
        return cls(original, output) if judged else None

    def scores(self, fed: NDArray[Any]) -> NDArray[Any]:
        """The scores as floats, one row an image."""
        if self.levels is not None and fed.dtype == np.float32:
            scale, zero_point = self.levels
            limits = np.iinfo(np.int8 if self.signed else np.uint8)
            levels = np.round(fed / np.float32(scale)) + zero_point
            fed = np.clip(levels, limits.min, limits.max).astype(limits.dtype)
        elif self.signed:
            fed = (fed.astype(np.int16) - SHIFT).astype(np.int8)
        if self.half:
            fed = fed.astype(np.float16)
        rows = [self.runner.run([self.output], **{self.source: one[None]})[0] for one in fed]
        scale, zero = self.affine
        made: NDArray[Any] = (np.concatenate(rows).astype(np.float32) - zero) * scale
        return made


def _images(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _computes_in_half(graph: onnx.GraphProto) -> bool:
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.initializer)
