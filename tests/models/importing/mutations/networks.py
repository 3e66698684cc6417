"""Small classifiers of the kinds that people train, as records that a mutation can change."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from models.checkpoints.tflite.graph import read_graph
from models.translation.tflite.translate import translate
from tests.models.checkpoints.tflite.tflite_files import File
from tests.models.translation.tflite.operator_files import RELU, RELU6, SAME, VALID, Builder

SIDE, CLASSES = 24, 5
WIDE = (-3, 3)


class Network(Builder):
    """Builds networks whose maps neither vanish nor end in a clamp: kernels by their fan-in."""

    def image(self) -> int:
        return self.activation("image", (1, SIDE, SIDE, 3), -1, 1)

    def kernel(self, shape: tuple[int, ...], axis: int) -> int:
        made = super().kernel(shape, axis)
        tensor = self.file.tensors[made]
        fan_in = np.prod(shape) / shape[axis]
        factor = 2 * (2 / fan_in) ** 0.5
        if tensor.affine is not None:
            tensor.affine = (np.array(tensor.affine[0]) * factor, tensor.affine[1])
        source = tensor if tensor.values is not None else self.file.tensors[made - 1]
        if tensor.affine is None and source.values is not None:
            source.values = (source.values * factor).astype(source.values.dtype)
        return made

    def layer(self, source: int, kind: str, channels: int, stride: int, **more: int) -> int:
        linear = more.get("activation") == 0
        options = {"window": 3, "activation": RELU6} | more
        ends = WIDE if linear else (0, 6)
        return self.convolution(source, kind, channels, stride=stride, range=ends, **options)

    def separable(self, source: int, channels: int, stride: int) -> int:
        entering = self.file.tensors[source].shape[3]
        made = self.layer(source, "DEPTHWISE_CONV_2D", entering, stride)
        return self.layer(made, "CONV_2D", channels, 1, window=1)

    def head(self, source: int) -> int:
        logits = self.dense(source, CLASSES)
        ends = (0, 255 / 256) if self.quantized else (-2, 2)
        made = self.activation("scores", (1, CLASSES), *ends)
        return self.add("SOFTMAX", [logits], made, Beta=1.0)


def _v1(b: Network) -> int:
    made = b.layer(b.image(), "CONV_2D", 8, 2)
    for channels, stride in ((12, 1), (16, 2), (16, 1)):
        made = b.separable(made, channels, stride)
    return b.head(b.mean(made))


def _v2(b: Network) -> int:
    """Padded as in Keras, with a residual."""
    made = b.layer(b.pad(b.image(), 0, 1), "CONV_2D", 8, 2, padding=VALID)
    for stride in (1, 2):
        inner = b.layer(made, "CONV_2D", 16, 1, window=1)
        inner = b.layer(inner, "DEPTHWISE_CONV_2D", 16, stride)
        inner = b.layer(inner, "CONV_2D", 8, 1, window=1, activation=0)
        made = inner if stride == 2 else b.arithmetic("ADD", made, inner)
    side = b.file.tensors[made].shape[1]
    pooled = b.reshape(b.pool(made, "AVERAGE_POOL_2D", side, 1), (1, 8))
    return b.head(b.dense(pooled, 12, RELU))


def _flat(b: Network) -> int:
    """Max pool, two maps side by side, a dense layer of the whole map."""
    made = b.pool(b.layer(b.image(), "CONV_2D", 6, 2), "MAX_POOL_2D", 2, 2, SAME)
    left = b.layer(made, "CONV_2D", 6, 1)
    right = b.layer(made, "DEPTHWISE_CONV_2D", 6, 1)
    shape = (*b.file.tensors[left].shape[:3], 12)
    both = b.add("CONCATENATION", [left, right], b.activation("both", shape, 0, 6), Axis=3)
    return b.head(b.dense(b.reshape(both, (1, int(np.prod(shape)))), 8, RELU))


NETWORKS: dict[str, Callable[[Network], int]] = {"v1": _v1, "v2": _v2, "flat": _flat}


def tflite_file(network: str, precision: str) -> File:
    """A network as records of a TFLite file."""
    builder = Network(precision)
    return builder.done(NETWORKS[network](builder))


def onnx_model(network: str, path: Path) -> onnx.ModelProto:
    """A network as ONNX."""
    path.write_bytes(tflite_file(network, "float32").encode())
    return translate(read_graph(path))
