"""Let the real frameworks save fine-tuned networks as people do, and record what they answer.

Run once each, from the folder of the project, in environments of their own:

    python -m venv /tmp/own
    /tmp/own/bin/pip install keras==3.15.1 torch==2.13.0 torchvision==0.28.0 h5py onnx numpy
    KERAS_BACKEND=torch /tmp/own/bin/python -m tests.models.importing.record_finetuned save
    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0 onnx
    /tmp/tf/bin/python -m tests.models.importing.record_finetuned convert

The files in `finetuned/` are what the frameworks saved, packed.
"""

import gzip
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from tests.models.importing.filling import fill_keras, fill_torch, write_answers
from tests.models.importing.inputs import ALPHA, LABELS, MEAN, SIDE, STD, images, scaled

FOLDER = Path(__file__).with_name("finetuned")


def keep(path: Path, answers: Any) -> None:
    """Pack a file and what its framework answers."""
    packed = gzip.compress(path.read_bytes(), mtime=0)
    (FOLDER / f"{path.name}.gz").write_bytes(packed)
    write_answers(FOLDER / f"{path.name}.json", answers)
    print(path.name, len(packed), np.round(answers, 3).tolist())


def record_keras(folder: Path) -> None:
    """The network of Keras' own tutorial on transfer learning: MobileNetV2 as one layer."""
    layers, shape = keras.layers, (SIDE, SIDE, 3)
    base = keras.applications.MobileNetV2(shape, ALPHA, include_top=False, weights=None)
    base.trainable = False
    image = keras.Input(shape)
    augmented = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    centred = keras.applications.mobilenet_v2.preprocess_input(augmented(image))
    pooled = layers.GlobalAveragePooling2D()(base(centred, training=False))
    classes = layers.Dense(len(LABELS), activation="softmax")(layers.Dropout(0.2)(pooled))
    network = keras.Model(image, classes)
    fill_keras([*base.layers, network.layers[-1]])
    pixels = images().astype(np.float32)
    answers = keras.ops.convert_to_numpy(network(pixels, training=False))
    for suffix in ("keras", "h5"):
        path = folder / f"tutorial.{suffix}"
        network.save(path)
        keep(path, answers)


def record_torch(folder: Path) -> None:
    """torchvision's MobileNetV2 with a head of its own, as a training loop saves it."""
    import torch
    from torch import nn
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2(weights=None, width_mult=ALPHA)
    network.classifier = nn.Linear(network.last_channel, len(LABELS))
    network.eval()
    fill_torch(network)
    with torch.inference_mode():
        fed = torch.from_numpy(scaled(images(), MEAN, STD).transpose(0, 3, 1, 2).copy())
        answers = network(fed).softmax(1).numpy()
    loop = {
        "epoch": 3,
        "args": Namespace(lr=0.1),
        "state_dict": {f"module.{name}": value for name, value in network.state_dict().items()},
        "optimizer": torch.optim.SGD(network.classifier.parameters(), 0.1).state_dict(),
    }
    path = folder / "loop.pth.tar"
    torch.save(loop, path)
    keep(path, answers)


def convert(folder: Path) -> None:
    """Keras' network as TensorFlow's converter writes it: with its weights in 32 bits, and in 8."""
    import tensorflow as tf

    saved = folder / "tutorial.keras"
    saved.write_bytes(gzip.decompress((FOLDER / f"{saved.name}.gz").read_bytes()))
    network = keras.models.load_model(saved)
    pixels = images().astype(np.float32)
    answers = network(pixels, training=False).numpy()
    for name, optimizations in (("tutorial", []), ("dynamic", [tf.lite.Optimize.DEFAULT])):
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        converter.optimizations = optimizations
        path = folder / f"{name}.tflite"
        path.write_bytes(converter.convert())
        keep(path, answers)


def save(folder: Path) -> None:
    record_keras(folder)
    record_torch(folder)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        {"save": save, "convert": convert}[sys.argv[1]](Path(temporary))
