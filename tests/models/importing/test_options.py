"""What no graph says and has to be said: choices, and which classes there are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.model.runtime import new_session
from models.importing.checks import Refused
from models.importing.dialogue.classes import choose_classes
from models.importing.dialogue.options import Choices
from models.importing.import_onnx import adopt
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.exported import KERAS, TORCH, TORCH_SCRIPT, run, write_labels
from tests.models.importing.graphs import saved, small
from tests.models.importing.inputs import images, scaled

FILE = Path("foreign.onnx")


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        pytest.param({}, "--mean, --std: the file does not state", id="nothing"),
        pytest.param({"mean": (0.5,)}, "--mean, --std: the file does not", id="mean alone"),
        pytest.param(
            {"like": "caffe"},
            "Unknown preset 'caffe'. Supported: torchvision, torchvision_v2, keras",
            id="preset",
        ),
        pytest.param({"like": "keras"}, "10 classes, imagenet has 1000 names", id="no labels"),
        pytest.param({"like": "keras", "mean": (124.0,)}, "from 0 to 1", id="mean in pixels"),
        pytest.param({"like": "keras", "std": (0.0,)}, "above 0", id="std of 0"),
        pytest.param(
            {"like": "keras", "std": (0.5, 0.5)}, "one number, or three", id="two channels"
        ),
        pytest.param(
            {"like": "keras", "interpolation": "magic"},
            "--interpolation is 'magic'",
            id="interpolation",
        ),
        pytest.param({"like": "keras", "crop_fraction": 2.0}, "--crop-fraction is 2", id="crop"),
        pytest.param({"like": "keras", "layout": "nhwc"}, "--layout is nhwc, but", id="layout"),
        pytest.param(
            {"like": "keras", "resolution": 64}, "resolution 64 is not possible", id="resolution"
        ),
        pytest.param(
            {"like": "keras", "output": "boxes"},
            "Unknown output 'boxes'. Outputs: linear",
            id="output",
        ),
        pytest.param(
            {"like": "keras", "labels": "gone.txt"}, "--labels: gone.txt", id="label file"
        ),
    ],
)
def test_what_no_graph_says_has_to_be_said(
    choices: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=reason):
        adopt(TORCH.unpack(tmp_path), Choices(**choices))


def test_a_graph_of_any_size_asks_for_the_trained_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--resolution: the input takes any size"):
        adopt(TORCH_SCRIPT.unpack(tmp_path), Choices(like="torchvision"))


@pytest.mark.parametrize("side", [20_000, 0, -5])
def test_a_resolution_that_no_image_has_is_rejected(side: int, tmp_path: Path) -> None:
    choices = Choices(like="torchvision", resolution=side)
    with pytest.raises(Refused, match=f"Resolution is {side}; it must be from 1 to 2048"):
        adopt(TORCH_SCRIPT.unpack(tmp_path), choices)


def test_a_file_made_for_more_pixels_than_an_image_has_is_rejected(tmp_path: Path) -> None:
    path = saved(small([1, 3, 60_000, 60_000]).model("scores"), tmp_path)
    with pytest.raises(Refused, match="Resolution is 60000; it must be from 1 to 2048"):
        adopt(path, Choices(like="torchvision"))


@pytest.mark.parametrize("first", ["background", "Background", "dummy"])
def test_a_background_row_that_the_model_has_no_class_for_is_dropped(
    first: str, tmp_path: Path
) -> None:
    """TensorFlow's ImageNetLabels.txt has 1001 names, Keras' networks have 1000 classes."""
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join([first, *(f"class {at}" for at in range(10))]))
    adoption = adopt(TORCH.unpack(tmp_path), TORCH.choices(labels))
    assert (adoption.card.labels[0], adoption.card.background) == ("class 0", None)


def test_a_name_of_the_zoo_is_rejected(tmp_path: Path) -> None:
    path, labels = KERAS.unpack(tmp_path), write_labels(tmp_path)
    for name in ("mobilenet_v2_1.0_224", "Über", "-"):
        with pytest.raises(Refused, match="name"):
            adopt(path, KERAS.choices(labels), name=name)


@pytest.mark.parametrize(
    ("like", "classes", "background"),
    [("tflite", 1001, True), ("tflite", 1000, False), ("keras", 1000, False),
     ("torchvision", 1000, False), ("timm", 1000, False)],
)  # fmt: skip
def test_the_background_of_1001_classes_is_left_out_where_the_publisher_has_one(
    like: str, classes: int, background: bool
) -> None:
    found = choose_classes(Choices(like=like), classes, FILE)
    assert (len(found.labels), found.background) == (1000, background)
    assert found.labels[0] == "tench"  # class 0 of ImageNet in every one of them


@pytest.mark.parametrize(
    ("classes", "first"), [(1000, "--labels imagenet"), (10, "--labels labels.txt")]
)
def test_the_names_of_imagenet_are_the_first_answer_for_as_many_classes(
    classes: int, first: str
) -> None:
    choices = Choices()
    choose_classes(choices, classes, FILE)
    assert choices.questions.asked[0].choices[0].arguments == first


@pytest.mark.parametrize("like", ["keras", "torchvision", "timm_v1"])
def test_where_the_publisher_has_none_1001_classes_ask_for_a_background(like: str) -> None:
    choices = Choices(like=like)
    choose_classes(choices, 1001, FILE)
    [question] = choices.questions.asked
    assert question.why == "the model has 1001 classes, imagenet has 1000 names."
    assert question.choices[0].arguments == "--background"


def test_a_choice_of_ones_own_comes_before_that_of_the_publisher(tmp_path: Path) -> None:
    kept = Choices(like="tflite", background=False)
    choose_classes(kept, 1001, FILE)
    assert [question.option for question in kept.questions.asked] == ["--background"]
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["background", *(f"thing {number}" for number in range(1000))]))
    found = choose_classes(Choices(like="tflite", labels=str(names)), 1001, FILE)
    assert (found.labels[0], len(found.labels), found.background) == ("thing 0", 1000, True)


def test_a_graph_of_1001_classes_loses_its_first_one(tmp_path: Path) -> None:
    builder = GraphBuilder(["N", 3, 32, 32])
    builder.node("Conv", ["x", builder.const("kernel", 8, 3, 3, 3)], "conv", strides=[2, 2])
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 1001)], "scores")
    builder.node("Softmax", ["scores"], "out", axis=1)
    path = saved(builder.model("out"), tmp_path)
    pixels = images(2, 96)[:, :32, :32]
    adoption = adopt(path, Choices(like="tflite"))
    [expected] = new_session(path).run(
        None, {"x": scaled(pixels, 0.5, 0.5).transpose(0, 3, 1, 2).copy()}
    )
    [found, _] = run(adoption.model, pixels)
    assert adoption.card.labels[0] == "tench"
    assert np.abs(found - expected[:, 1:]).max() < 1e-5
