"""Let the real exporters write small networks with weights by rule, and record what they answer.

Run once each, from the folder of the project, in environments of their own:

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 onnx onnxscript numpy
    /tmp/torch/bin/python -m tests.models.importing.record_exports torch
    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0
    /tmp/tf/bin/python -m tests.models.importing.record_exports keras

The files in `exports/` are what the exporters wrote, packed, but for the notes on where in the
source each node comes from.
"""

import gzip
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from tests.models.importing.filling import fill_keras, fill_torch, write_answers
from tests.models.importing.inputs import ALPHA, LABELS, MEAN, SIDE, STD, images, scaled

FOLDER = Path(__file__).with_name("exports")


def keep(path: Path, name: str, answers: Any) -> None:
    """Pack an export and what its framework answers."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    packed = gzip.compress(model.SerializeToString(deterministic=True), mtime=0)
    (FOLDER / f"{name}.onnx.gz").write_bytes(packed)
    write_answers(FOLDER / f"{name}.json", answers)
    print(name, len(packed), np.round(answers, 3).tolist())


def record_torch() -> None:
    import torch
    from torch import nn

    from tests.models.fidelity.record_torch import TABLE, Block, unit

    class Narrow(nn.Module):  # type: ignore[misc]  # its base has no types
        """MobileNetV2 at width 0.05: 8 channels, or 16, where the rule gives fewer."""

        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = [unit(3, 8, 3, 2)]
            channels = 8
            for t, c, n, s in TABLE:
                for index in range(n):
                    out = 16 if c == 320 else 8
                    layers.append(Block(channels, out, t, s if index == 0 else 1))
                    channels = out
            self.features = nn.Sequential(*layers, unit(channels, 1280, 1))
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Linear(1280, len(LABELS))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled = torch.flatten(self.pool(self.features(x)), 1)
            made: torch.Tensor = self.classifier(pooled)
            return made

    network = Narrow().eval()
    fill_torch(network)
    fed = torch.from_numpy(scaled(images(), MEAN, STD).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        answers = network(fed).softmax(1).numpy()
    one = torch.zeros(1, 3, SIDE, SIDE)
    free = {0: "batch", 2: "height", 3: "width"}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(network, (one,), path, dynamo=True, external_data=False)
        keep(path, "torch_export", answers)
        torch.onnx.export(
            network, (one,), path, dynamo=False, input_names=["image"], output_names=["logits"],
            dynamic_axes={"image": free, "logits": {0: "batch"}},
        )  # fmt: skip
        keep(path, "torch_script", answers)


def record_keras() -> None:
    import keras
    import tensorflow as tf
    import tf2onnx

    shape = (SIDE, SIDE, 3)
    network = keras.applications.MobileNetV2(shape, ALPHA, weights=None, classes=len(LABELS))
    fill_keras(network.layers)
    answers = network(scaled(images(), 0.5, 0.5), training=False).numpy()
    signature = [tf.TensorSpec((None, *shape), tf.float32, name="image")]
    function = tf.function(lambda image: network(image, training=False), signature)
    model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=15)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        keep(path, "tf2onnx", answers)


if __name__ == "__main__":
    {"torch": record_torch, "keras": record_keras}[sys.argv[1]]()
