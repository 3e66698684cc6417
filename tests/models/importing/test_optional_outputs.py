"""Logits and the map before the pooling: outputs of an imported graph that has such values."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from app.model.runtime import new_session
from models.importing.dialogue.options import Choices
from models.importing.graph.inspect_graph import find_features
from models.importing.graph.walk_back import Trail
from models.importing.import_onnx import adopt
from models.translation.keras.read import read_graph
from models.translation.tflite.translate import translate
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.exported import EXPORTS, KERAS, Export, write_labels
from tests.models.importing.graphs import saved, small
from tests.models.importing.inputs import images
from tests.models.importing.test_import_onnx import quantise
from tests.models.translation.keras.record_models import FOLDER

Values = dict[str, NDArray[Any]]
ALL = ["probabilities", "embedding", "logits", "features"]


def outputs_of(model: onnx.ModelProto, side: int = 96) -> Values:
    session = new_session(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    pixels = images()[:, :side, :side]
    runs = [session.run(names, {"image": image[None]}) for image in pixels]
    return {
        name: np.concatenate(parts)
        for name, parts in zip(names, zip(*runs, strict=True), strict=True)
    }


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_an_import_has_the_logits_and_the_map_of_the_original(
    export: Export, tmp_path: Path
) -> None:
    found = outputs_of(adopt(export.unpack(tmp_path), export.choices(write_labels(tmp_path))).model)
    assert list(found) == ALL
    assert np.abs(softmax(found["logits"]) - found["probabilities"]).max() < 1e-6
    assert found["features"].shape == (3, 1280, 3, 3)
    assert np.abs(found["features"].mean(axis=(2, 3)) - found["embedding"]).max() < 1e-5


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("QDQ", ALL),
        ("QOperator", ["probabilities", "embedding", "logits"]),  # its map is in integers
        ("dynamic", ALL),
    ],
)
def test_a_quantised_import_has_the_values_that_are_in_float(
    form: str, expected: list[str], tmp_path: Path
) -> None:
    export = EXPORTS[1]
    path = quantise(export, export.unpack(tmp_path), form)
    found = outputs_of(adopt(path, export.choices(write_labels(tmp_path))).model)
    assert list(found) == expected
    assert np.abs(softmax(found["logits"]) - found["probabilities"]).max() < 1e-6


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax"])
def test_logits_are_what_the_softmax_at_the_end_reads(end: str, tmp_path: Path) -> None:
    path = saved(small(end=end, axis=1).model("out"), tmp_path)
    labels = write_labels(tmp_path)
    labels.write_text("\n".join(f"class {at}" for at in range(9)))
    choices: Choices = KERAS.choices(labels, background=True)
    adoption = adopt(path, choices)
    found = outputs_of(adoption.model, 32)
    assert list(found) == ALL
    assert (found["logits"].shape, found["probabilities"].shape) == ((3, 10), (3, 9))
    assert np.abs(softmax(found["logits"])[:, 1:] - found["probabilities"]).max() < 1e-6
    assert adoption.card.background == 0


def test_a_graph_without_softmax_and_pooling_has_neither(tmp_path: Path) -> None:
    builder = GraphBuilder([1, 3, 32, 32])
    kernel = builder.const("kernel", 8, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "map", strides=[32, 32], pads=[1, 1, 1, 1])
    builder.node("Flatten", ["map"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "scores")
    builder.node("Sigmoid", ["scores"], "shares")
    builder.node("Add", ["shares", builder.const("one", 10)], "positive")
    builder.node("ReduceL1", ["positive"], "sum", axes=[1])
    builder.node("Div", ["positive", "sum"], "out")
    adoption = adopt(saved(builder.model("out"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    assert list(outputs_of(adoption.model, 32)) == ["probabilities", "embedding"]
    [said] = [one.value for one in adoption.findings if one.what == "outputs"]
    assert said == "probabilities, embedding"


def test_what_follows_the_pooling_is_not_the_mean_of_the_map(tmp_path: Path) -> None:
    builder = GraphBuilder([1, 3, 32, 32])
    kernel = builder.const("kernel", 8, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "map", strides=[2, 2], pads=[1, 1, 1, 1])
    builder.node("GlobalAveragePool", ["map"], "pooled")
    builder.node("HardSwish", ["pooled"], "active")
    builder.node("Flatten", ["active"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "scores")
    adoption = adopt(
        saved(builder.model("scores"), tmp_path), KERAS.choices(write_labels(tmp_path))
    )
    assert list(outputs_of(adoption.model, 32)) == ["probabilities", "embedding", "logits"]


def test_the_map_of_classes_that_are_pooled_is_the_one_that_they_are_made_of(
    tmp_path: Path,
) -> None:
    """As in SqueezeNet."""
    builder = GraphBuilder(["N", 3, 32, 32])
    kernel = builder.const("k1", 6, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "logits", strides=[2, 2], pads=[1, 1, 1, 1])
    builder.node("Conv", ["logits", builder.const("k2", 10, 6, 1, 1)], "features")
    builder.node("GlobalAveragePool", ["features"], "scores")
    adoption = adopt(
        saved(builder.model("scores"), tmp_path), KERAS.choices(write_labels(tmp_path))
    )
    found = outputs_of(adoption.model, 32)
    assert list(found) == ALL
    assert found["features"].shape == (3, 6, 16, 16)
    assert np.abs(found["features"].mean(axis=(2, 3)) - found["embedding"]).max() < 1e-4


@pytest.mark.parametrize(
    ("model", "pooled_by"), [("deep_head", "GlobalAveragePool"), ("places", None)]
)
def test_the_embedding_of_several_dense_layers_is_the_pooled_trunk(
    model: str, pooled_by: str | None
) -> None:
    """Not the last hidden layer, which has little left of the image; if the trunk is pooled."""
    graph = read_graph(FOLDER / f"{model}.keras")
    assert graph is not None
    translated = translate(graph)
    trail = Trail(translated.graph)
    found = find_features(trail, translated.graph.output[0].name)
    assert found.pooled_by == pooled_by
    if pooled_by is not None:
        first = trail.maker_behind(found.value)
        assert first is not None
        assert first.op_type == pooled_by
