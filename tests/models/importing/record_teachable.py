"""Build what Teachable Machine downloads, layer in layer as it does, and record the answers.

    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0 onnx
    /tmp/tf/bin/python -m tests.models.importing.record_teachable

The zips in `teachable/` hold the names and the labels of the real ones; the networks are smaller
(96 pixels, alpha 0.05) and their weights random. `keras_model.h5` is told as Keras 2 tells it.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras
import numpy as np

from tests.models.importing.filling import fill_keras, write_answers
from tests.models.importing.inputs import ALPHA, SIDE, images

FOLDER = Path(__file__).with_name("teachable")
NAMES = ("Flask", "Cup 2", "nothing")
KERAS, FLOAT, QUANTIZED = (
    f"converted_{kind}.zip" for kind in ("keras", "tflite", "tflite_quantized")
)
UNITS = 100


def network(side: int, alpha: float) -> Any:
    layers = keras.layers
    base = keras.applications.MobileNetV2((side, side, 3), alpha, include_top=False, weights=None)
    features = keras.Sequential([base, layers.GlobalAveragePooling2D()], name="sequential_1")
    head = keras.Sequential(
        [
            layers.Dense(UNITS, activation="relu", name="dense_Dense1"),
            layers.Dense(len(NAMES), activation="softmax", use_bias=False, name="dense_Dense2"),
        ],
        name="sequential_3",
    )
    made = keras.Sequential([features, head], name="sequential_4")
    made.build((None, side, side, 3))
    fill_keras([*base.layers, *head.layers])
    return made


def fed(pixels: Any) -> Any:
    """Pixels as the sample code of Teachable Machine scales them."""
    return pixels.astype(np.float32) / 127.5 - 1


def as_keras_2(path: Path) -> None:
    """Rename what Keras 3 calls otherwise in the configuration."""
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        config = json.loads(text if isinstance(text, str) else text.decode())
        file.attrs["model_config"] = json.dumps(_renamed(config)).encode()
        file.attrs["keras_version"] = b"tfjs-layers 1.3.1"


def _renamed(found: Any) -> Any:
    if isinstance(found, list):
        return [_renamed(one) for one in found]
    if not isinstance(found, dict):
        return found
    if found.get("class_name") == "DTypePolicy":
        return found["config"]["name"]
    other = {"batch_shape": "batch_input_shape", "Functional": "Model"}
    dropped = ("module", "registered_name", "build_config", "compile_config")
    return {
        other.get(key, key): other.get(value, value) if isinstance(value, str) else _renamed(value)
        for key, value in found.items()
        if key not in dropped
    }


def convert(model: Any, quantized: bool) -> bytes:
    import tensorflow as tf

    def examples() -> Iterator[list[Any]]:
        for image in images(20, SIDE if model.input_shape[1] == SIDE else 224):
            yield [fed(image[None])]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = examples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    made: bytes = converter.convert()
    return made


def pack(name: str, member: str, content: bytes, folder: Path) -> None:
    labels = "".join(f"{at} {name}\n" for at, name in enumerate(NAMES))
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for entry, data in ((member, content), ("labels.txt", labels.encode())):
            file.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED, 9)
    print(name, (folder / name).stat().st_size)


def record(folder: Path, side: int, alpha: float) -> None:
    """Write the three zips, and what Keras answers."""
    model = network(side, alpha)
    answers = keras.ops.convert_to_numpy(model(fed(images(3, side)), training=False))
    print(np.round(answers, 3).tolist())
    write_answers(folder / "answers.json", answers)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "keras_model.h5"
        model.save(path)
        as_keras_2(path)
        pack(KERAS, path.name, path.read_bytes(), folder)
    pack(FLOAT, "model_unquant.tflite", convert(model, False), folder)
    pack(QUANTIZED, "model.tflite", convert(model, True), folder)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    record(FOLDER, SIDE, ALPHA)
