"""ONNX files of 16-bit floats as ones of 32 bits, in which a CPU computes anyway.

Every float16 number is a float32 number, so the weights stay what they are; sums are not rounded to
16 bits any more.
"""

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper


def with_single_floats(model: onnx.ModelProto) -> bool:
    """Make float32 of every float16 in a graph without branches; whether there was one."""
    graph = model.graph
    changed = [_widen(tensor) for tensor in graph.initializer]
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.FLOAT16:
            kind.elem_type = TensorProto.FLOAT
            changed.append(True)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                changed.append(_widen(attribute.t))
            elif attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
                changed.append(True)
    return any(changed)


def _widen(tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT16:
        return False
    values = numpy_helper.to_array(tensor).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return True
