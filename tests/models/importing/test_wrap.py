"""Other shapes of a classifier: pixels, logarithms, backgrounds, several outputs."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from app.model.runtime import new_session
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.import_onnx import adopt
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.exported import KERAS, run, write_labels
from tests.models.importing.graphs import (
    INT64,
    UINT8,
    detector,
    saved,
    small,
)
from tests.models.importing.inputs import LABELS, images


def test_a_graph_that_takes_pixels_gets_them(tmp_path: Path) -> None:
    path = saved(small(["N", 3, 96, 96], UINT8).model("scores"), tmp_path)
    labels = write_labels(tmp_path)
    adoption = adopt(path, Choices(like="keras", labels=str(labels)))
    nchw = images().transpose(0, 3, 1, 2).copy()
    [scores] = new_session(path).run(None, {"x": nchw})
    probabilities, embedding = run(adoption.model)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert abs(probabilities - powers / powers.sum(axis=1, keepdims=True)).max() < 1e-4
    assert embedding.shape == (3, 8)
    assert adoption.card.name == "some_model_v1"
    assert (adoption.card.family, adoption.card.alpha) == ("other", None)
    with pytest.raises(Refused, match=r"reads uint8 pixels and scales them itself\. Remove --mean"):
        adopt(path, Choices(like="keras", labels=str(labels), mean=(0.5,)))


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax", None])
def test_scores_of_any_kind_become_the_same_probabilities(end: str | None, tmp_path: Path) -> None:
    plain = adopt(saved(small().model("scores"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    builder = small(end=end, axis=1) if end else small()
    other = adopt(
        saved(builder.model("out" if end else "scores"), tmp_path),
        KERAS.choices(write_labels(tmp_path)),
    )
    pixels = images(2, 96)[:, :32, :32]
    assert abs(run(plain.model, pixels)[0] - run(other.model, pixels)[0]).max() < 1e-6


def test_a_background_class_is_left_out(tmp_path: Path) -> None:
    path = saved(small(["N", 3, 32, 32], end="Softmax", axis=1).model("out"), tmp_path)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(["background", *LABELS[1:]]))
    whole = adopt(path, KERAS.choices(labels))
    without = adopt(path, KERAS.choices(labels, background=True))
    assert len(whole.card.labels) == 10
    assert without.card.labels == LABELS[1:]
    pixels = images(1, 96)[:, :32, :32]
    assert np.array_equal(run(whole.model, pixels)[0][:, 1:], run(without.model, pixels)[0])
    labels.write_text("\n".join(LABELS[1:]))
    with pytest.raises(Refused, match=r"--background +if class 0 is a background class"):
        adopt(path, KERAS.choices(labels))


def test_one_of_several_outputs_can_be_named(tmp_path: Path) -> None:
    path = saved(detector(), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path), output="scores"))
    outputs = [output.name for output in adoption.model.graph.output]
    assert outputs == ["probabilities", "embedding", "logits", "features"]
    assert "boxes_matrix" not in [tensor.name for tensor in adoption.model.graph.initializer]


def test_a_map_before_the_classes_is_pooled_for_the_embedding(tmp_path: Path) -> None:
    """As in SqueezeNet: the classes are pooled, not the features."""
    builder = GraphBuilder(["N", 3, 32, 32])
    kernel = builder.const("k1", 6, 3, 3, 3)
    builder.node("Conv", ["x", kernel], "map", strides=[2, 2], pads=[1, 1, 1, 1])
    builder.node("Conv", ["map", builder.const("k2", 10, 6, 1, 1)], "classes")
    builder.node("GlobalAveragePool", ["classes"], "image")  # a name that the wrapper takes
    adoption = adopt(saved(builder.model("image"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    [said] = [found.known_by for found in adoption.findings if found.what == "embedding"]
    assert said.startswith("no pooled features before the classes")
    probabilities, embedding = run(adoption.model, images(2, 96)[:, :32, :32])
    assert probabilities.shape == (2, 10)
    assert embedding.shape == (2, 6)


def test_a_batch_that_is_fixed_for_good_stays_one(tmp_path: Path) -> None:
    builder = small()
    builder.constants.append(helper.make_tensor("one", INT64, [2], [1, 10]))
    builder.node("Expand", ["scores", "one"], "wide")
    builder.constants.append(helper.make_tensor("row", INT64, [1], [0]))
    builder.node("Gather", ["wide", "row"], "out", axis=0)
    adoption = adopt(saved(builder.model("out"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    assert [found.value for found in adoption.findings if found.what == "batch"] == ["1"]
    assert adoption.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_a_node_may_be_called_like_an_output_of_ours(tmp_path: Path) -> None:
    model = small().model("scores")
    for node, name in zip(model.graph.node, ("logits", "probabilities", "embedding"), strict=False):
        node.name = name
    found = adopt(saved(model, tmp_path), KERAS.choices(write_labels(tmp_path)))
    plain = adopt(saved(small().model("scores"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    pixels = images(2, 96)[:, :32, :32]
    assert np.array_equal(run(found.model, pixels)[0], run(plain.model, pixels)[0])


def test_sigmoids_stay_what_they_are_and_one_becomes_two_classes(tmp_path: Path) -> None:
    path = saved(small(end="Sigmoid").model("out"), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path)))
    pixels = images(2, 96)[:, :32, :32]
    fed = KERAS.fed(pixels).transpose(0, 3, 1, 2).copy()
    [expected] = zip(*(new_session(path).run(None, {"x": one[None]}) for one in fed), strict=True)
    assert abs(run(adoption.model, pixels)[0] - np.concatenate(expected)).max() < 1e-6
    assert adoption.card.head_activation == "sigmoid"


@pytest.mark.parametrize("side", [32, "side"])
def test_a_grey_graph_gets_what_pillow_makes_of_colours(side: int | str, tmp_path: Path) -> None:
    builder = GraphBuilder([1, 1, side, side])
    kernel = builder.const("kernel", 8, 1, 3, 3)
    builder.node("Conv", ["x", kernel], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "raw")
    builder.node("Softmax", ["raw"], "scores", axis=1)
    path = saved(builder.model("scores"), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path), resolution=32))
    pixels = np.random.default_rng(4).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    grey = np.asarray(Image.fromarray(pixels[0]).convert("L"), np.float32)
    fed = ((grey / np.float32(255) - np.float32(0.5)) / np.float32(0.5))[None, None]
    [expected] = new_session(path).run(None, {"x": fed})
    assert abs(run(adoption.model, pixels)[0] - expected).max() < 1e-6
