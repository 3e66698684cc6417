"""Whole models of Keras as graphs answer as Keras did (`record_models.py`)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.checkpoints.checkpoint import CheckpointError
from models.importing.graph.verify import Runner
from models.translation.keras.call import Call
from models.translation.keras.layers import write
from models.translation.keras.read import read_graph
from models.translation.keras.records import Records
from models.translation.tflite.translate import translate
from tests.models.translation.keras.record_models import ANSWERS, FOLDER, PIXELS

FILES = sorted(path.name for path in FOLDER.glob("*.*") if path != ANSWERS)


@pytest.mark.parametrize("name", FILES)
def test_a_model_answers_as_in_keras(name: str) -> None:
    graph = read_graph(FOLDER / name)
    assert graph is not None
    model = translate(graph)
    fed = {model.graph.input[0].name: PIXELS.astype(np.float32)}
    [found] = Runner(model).run([model.graph.output[0].name], **fed)
    with np.load(ANSWERS) as answers:
        expected = answers[name.partition(".")[0]]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        ("Lambda", {}, "its Lambda 'own' is a function of the program that trained it"),
        ("RandomCrop", {}, "its RandomCrop 'own' is not known here"),
        ("LSTM", {}, "its LSTM 'own' is not known here"),
        ("Flatten", {"data_format": "channels_first"}, "has its channels first"),
        ("Activation", {"activation": "mish"}, "has the activation 'mish'"),
        ("Activation", {"activation": {"config": {"value": "own"}}}, "own has the activation {"),
        ("ReLU", {"negative_slope": 0.1, "max_value": 6}, "a slope and a maximum"),
        ("ReLU", {"threshold": 0.1}, "with a threshold"),
        ("LayerNormalization", {"axis": [1, 2]}, "normalises axis"),
        ("UnitNormalization", {"axis": 1}, "normalises another axis"),
        ("Resizing", {"height": 4, "width": 4, "interpolation": "bicubic"}, "in another way"),
        ("CenterCrop", {"height": 9, "width": 9}, r"cuts \(9, 9\) out of \(8, 8\)"),
        ("Permute", {"dims": [1, 2, 2]}, "has the order"),
        ("Softmax", {"axis": 1}, "softmax over another axis"),
        ("BatchNormalization", {"axis": 1}, "normalises axis 1"),
        ("Normalization", {"mean": [1], "variance": [1], "axis": [1, 3]}, "normalises axis"),
        ("TrueDivide", {}, "no arithmetic of one value and one number"),
        ("Conv2D", {}, "own has no kernel"),
    ],
)
def test_a_layer_that_is_not_known_is_rejected_by_its_name(
    kind: str, config: dict[str, Any], reason: str
) -> None:
    records = Records()
    image = records.image(8, 3)
    with pytest.raises(CheckpointError, match=reason):
        write(records, Call(kind, "own", config, [image], {}))


def test_weights_alone_are_no_graph(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "own.weights.h5"
    with zipfile.ZipFile(FOLDER / "strided.keras") as archive:
        path.write_bytes(archive.read("model.weights.h5"))
    assert read_graph(path) is None
