"""Make the int8 file that the reader is tested with, by TensorFlow's own converter.

`mobilenet_v1_0.05_96_int8.tflite` beside this script is a MobileNetV1 so narrow that it weighs
60 kB, with weights that follow from its layers' names. To make it again, from the project's folder:

    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu
    PYTHONPATH=. /tmp/tf/bin/python -m tests.models.fidelity.make_tflite

`--also FOLDER` makes whole MobileNets of Keras in FOLDER too, in every way the converter offers.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.export import derived_weights
from models.network.mobilenet_v1 import BLOCKS, STEM_CHANNELS, width

FILE = Path(__file__).with_name("mobilenet_v1_0.05_96_int8.tflite")
ALPHA, RESOLUTION, CLASSES = 0.05, 96, 20
CLASSIFIERS = ("conv_preds", "predictions")
GAIN = 6  # so that probabilities are neither all alike nor all 0 and 1
PARTS = ("gamma", "beta", "mean", "variance")


def narrow(batch: int | None) -> keras.Model:
    """Keras' MobileNet with our least width of 8 channels, which Keras does not have."""
    image = keras.Input(batch_shape=(batch, RESOLUTION, RESOLUTION, 3))
    x = convolution(image, "conv1", keras.layers.Conv2D(
        width(STEM_CHANNELS, ALPHA), 3, 2, "same", use_bias=False, name="conv1"
    ))  # fmt: skip
    for index, (channels, stride) in enumerate(BLOCKS, start=1):
        name = f"conv_dw_{index}"
        depthwise = keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=name)
        x = convolution(x, name, depthwise)
        name = f"conv_pw_{index}"
        pointwise = keras.layers.Conv2D(width(channels, ALPHA), 1, use_bias=False, name=name)
        x = convolution(x, name, pointwise)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Conv2D(CLASSES, 1, name="conv_preds")(x)
    x = keras.layers.Reshape((CLASSES,))(x)
    return keras.Model(image, keras.layers.Softmax()(x))


def convolution(x: keras.KerasTensor, name: str, layer: keras.Layer) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(layer(x))
    return keras.layers.ReLU(6.0)(x)


def derive(network: keras.Model) -> keras.Model:
    """Give a network weights that follow from its layers' names."""
    for layer in network.layers:
        shapes = [value.shape for value in layer.weights]
        if isinstance(layer, keras.layers.BatchNormalization):
            norm = derived_weights.batch_norm(layer.name, shapes[0][0])
            layer.set_weights([norm[part] for part in PARTS])
        elif shapes:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            fan_in = int(np.prod(shapes[0][: 2 if depthwise else -1]))
            kernel = derived_weights.kernel(layer.name, shapes[0], fan_in)
            biases = [derived_weights.bias(layer.name, shape[0]) for shape in shapes[1:]]
            gain = GAIN if layer.name in CLASSIFIERS else 1
            layer.set_weights([kernel * gain, *biases])
    return network


def samples() -> Iterator[list[NDArray[np.float32]]]:
    shape = (1, RESOLUTION, RESOLUTION, 3)
    for index in range(30):
        contrast = (index + 1) / 30
        yield [derived_weights.uniform(f"sample {index}", shape, -contrast, contrast)]


def convert(network: keras.Model, kind: tf.DType) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = kind
    content: bytes = converter.convert()
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--also", type=Path)
    arguments = parser.parse_args()
    FILE.write_bytes(convert(derive(narrow(batch=None)), tf.uint8))
    if arguments.also:
        shape = (1, RESOLUTION, RESOLUTION, 3)
        for name, build, alpha in (
            ("mobilenet_v1_0.25", keras.applications.MobileNet, 0.25),
            ("mobilenet_v2_0.35", keras.applications.MobileNetV2, 0.35),
        ):
            image = keras.Input(batch_shape=shape)
            network = derive(build(input_tensor=image, alpha=alpha, weights=None))
            for kind in (tf.int8, tf.uint8, tf.float32):
                path = arguments.also / f"{name}_{kind.name}.tflite"
                path.write_bytes(convert(network, kind))


if __name__ == "__main__":
    main()
