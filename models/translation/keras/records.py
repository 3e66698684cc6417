"""Records of a graph that is put together one step at a time, with NHWC shapes that are worked out.

They are those of a TFLite file, in which Keras' layers are at home: the same translation serves.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Graph, Operator, Tensor

FLOAT, WHOLE = np.dtype("<f4"), np.dtype("<i4")


class Records:
    """Tensors and operators; a value is the index of its tensor."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []

    def shape(self, value: int) -> tuple[int, ...]:
        return self.tensors[value].shape

    def image(self, side: int, channels: int) -> int:
        return self._add("image", (1, side, side, channels))

    def constant(self, values: ArrayLike, whole: bool = False) -> int:
        made = np.asarray(values, WHOLE if whole else FLOAT)
        self.tensors.append(Tensor("constant", made.shape, made.dtype, (), (), made))
        return len(self.tensors) - 1

    def step(
        self, kind: str, inputs: list[int], shape: tuple[int, ...], name: str, **options: Any
    ) -> int:
        """Add an operator; return its result.

        Raises:
            CheckpointError: the result has no size.
        """
        if any(size < 1 for size in shape):
            raise CheckpointError(f"{name} makes {shape}")
        result = self._add(name, shape)
        self.operators.append(Operator(kind, tuple(inputs), (result,), **options))
        return result

    def same(self, kind: str, inputs: list[int], name: str, **options: Any) -> int:
        """Add an operator whose result has the shape of its first input."""
        return self.step(kind, inputs, self.shape(inputs[0]), name, **options)

    def reshape(self, value: int, shape: tuple[int, ...], name: str) -> int:
        if prod(shape) != prod(self.shape(value)):
            raise CheckpointError(f"{name} makes {shape} of {self.shape(value)}")
        return self.step("RESHAPE", [value], shape, name)

    def graph(self, image: int, output: int) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.operators), image, output)

    def _add(self, name: str, shape: tuple[int, ...]) -> int:
        self.tensors.append(Tensor(name, shape, FLOAT, (), (), None))
        return len(self.tensors) - 1


def windowed(side: int, window: int, stride: int, padding: str, dilation: int = 1) -> int:
    """How many windows fit on a side (tf.nn, "Notes on padding")."""
    if padding == "SAME":
        return -(-side // stride)
    return (side - (window - 1) * dilation - 1) // stride + 1
