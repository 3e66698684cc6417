"""Whole numbers that a graph works out of shapes, such as the shape that a RESHAPE is to make.

TensorFlow's converter leaves this arithmetic in files of models whose batch was open.
"""

import numpy as np

from models.checkpoints.checkpoint import Array
from models.checkpoints.tflite.graph import Operator, Tensor
from models.translation.tflite.resizing import bounds

COMPUTED = {"STRIDED_SLICE", "PACK", "GATHER", "REDUCE_PROD", "CONCATENATION", "CAST"}
WHOLE = np.dtype("<i4")


def worked_out_value(operator: Operator, inputs: list[Tensor], told: Tensor) -> Array | None:
    """The numbers of a result; None if it is none of such arithmetic.

    `told` is the result as the file has it.

    Raises:
        ValueError: its operands do not go together.
        IndexError: the same.
    """
    if operator.kind == "SHAPE":
        return np.array(inputs[0].shape, WHOLE)
    values = [one.values for one in inputs if one.values is not None and one.dtype == WHOLE]
    if operator.kind not in COMPUTED or told.dtype != WHOLE or len(values) != len(inputs):
        return None
    if operator.kind == "PACK":
        made = np.stack(values)
    elif operator.kind == "CONCATENATION":
        made = np.concatenate(values, axis=operator.axis)
    elif operator.kind == "GATHER":
        made = values[0][values[1]]
    elif operator.kind == "REDUCE_PROD":
        made = np.prod(values[0], axis=tuple(values[1].reshape(-1)), keepdims=bool(told.shape))
    elif operator.kind == "STRIDED_SLICE":
        made = _sliced(operator, values, shrinks=not told.shape)
    else:
        made = values[0]
    return np.asarray(made, WHOLE)


def _sliced(operator: Operator, values: list[Array], *, shrinks: bool) -> Array:
    source, begin, end, step = values
    if source.ndim != 1:
        raise ValueError("it cuts a table")
    if shrinks:
        return np.asarray(source[int(begin[0])])
    [[start], [stop], [stride]] = bounds(operator, source.shape, begin, end, step)
    return source[start:stop:stride]
