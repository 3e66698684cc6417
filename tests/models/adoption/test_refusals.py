"""What cannot be adopted, and what has to be said: one line that names the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from app.runtime import new_session
from models.adoption import admission
from models.adoption.admission import Refused
from models.adoption.adopt import adopt
from models.adoption.choices import Choices, read_labels
from tests.exports import export_random
from tests.models.adoption.exported import KERAS, TORCH, TORCH_SCRIPT, run, write_labels
from tests.models.adoption.inputs import LABELS, images
from tests.models.test_graph_cost import Sketch

Change = Callable[[onnx.ModelProto], None]
FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def small(
    shape: list[int | str] | None = None,
    element: int = FLOAT,
    end: str | None = None,
    **attributes: Any,
) -> Sketch:
    """Convolution, pooling, 10 scores in `scores`, and perhaps one more node to `out`."""
    sketch = Sketch(shape or [1, 3, 32, 32], element)
    source = "x"
    if element == UINT8:
        source = sketch.node("Cast", ["x"], "floats", to=FLOAT)
    kernel = sketch.const("kernel", 8, 3, 3, 3)
    sketch.node("Conv", [source, kernel], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    sketch.node("GlobalAveragePool", ["conv"], "pooled")
    sketch.node("Flatten", ["pooled"], "flat")
    sketch.node("MatMul", ["flat", sketch.const("matrix", 8, 10)], "scores")
    if end:
        sketch.node(end, ["scores"], "out", **attributes)
    return sketch


def detector() -> onnx.ModelProto:
    sketch = small()
    sketch.node("MatMul", ["flat", sketch.const("boxes_matrix", 8, 4)], "boxes")
    model = sketch.model("scores")
    model.graph.output.append(helper.make_tensor_value_info("boxes", FLOAT, [1, 4]))
    return model


def one_output_detector() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("Conv", ["x", sketch.const("k", 84, 3, 1, 1)], "map")
    target = helper.make_tensor("target", INT64, [3], [1, 84, 1024])
    sketch.constants.append(target)
    sketch.node("Reshape", ["map", "target"], "out")
    return sketch.model("out")


def suppressing() -> onnx.ModelProto:
    sketch = small()
    sketch.node("NonMaxSuppression", ["scores", "scores"], "out")
    return sketch.model("out", INT64)


def segmentation() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("Conv", ["x", sketch.const("k", 21, 3, 1, 1)], "out")
    return sketch.model("out")


def text() -> onnx.ModelProto:
    sketch = Sketch(["N", "T"], INT64)
    sketch.node("Gather", [sketch.const("table", 100, 8), "x"], "out")
    return sketch.model("out")


def custom() -> onnx.ModelProto:
    sketch = small()
    sketch.node("Mystery", ["scores"], "out", domain="acme")
    model = sketch.model("out")
    model.opset_import.append(helper.make_opsetid("acme", 1))
    return model


def in_training() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    norm = [sketch.const(f"norm_{at}", 3) for at in range(4)]
    sketch.node("BatchNormalization", ["x", *norm], "out", training_mode=1)
    return sketch.model("out")


def with_a_loss() -> onnx.ModelProto:
    sketch = small()
    labels = helper.make_tensor("labels", INT64, [1], [0])
    sketch.constants.append(labels)
    sketch.node("SoftmaxCrossEntropyLoss", ["scores", "labels"], "out")
    return sketch.model("out")


def training_info() -> onnx.ModelProto:
    model = small().model("scores")
    model.training_info.add()
    return model


def half_floats() -> onnx.ModelProto:
    sketch = small()
    sketch.const("unused", 3, dtype=np.float16)
    return sketch.model("scores")


def branching() -> onnx.ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["scores"], ["inner"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, [1, 10])],
    )
    sketch = small()
    sketch.node(
        "If", [sketch.const("yes", dtype=np.bool_)], "out", then_branch=inner, else_branch=inner
    )
    return sketch.model("out")


def old() -> onnx.ModelProto:
    model = small().model("scores")
    model.opset_import[0].version = 6
    return model


def nothing_learned() -> onnx.ModelProto:
    sketch = Sketch([1, 3, 32, 32])
    sketch.node("GlobalAveragePool", ["x"], "out")
    return sketch.model("out")


def damaged_weights() -> onnx.ModelProto:
    sketch = small()
    sketch.constants[-1].CopyFrom(helper.make_tensor("matrix", FLOAT, [8, 10], [float("nan")] * 80))
    return sketch.model("scores")


REFUSED = [
    pytest.param(
        detector(), r"it has 2 outputs \(scores .*boxes \[1, 4\]\), as a detector", id="detector"
    ),
    pytest.param(
        one_output_detector(), r"\[1, 84, 1024\].*a detector", id="detector with one output"
    ),
    pytest.param(
        suppressing(), r"a detector \(NonMaxSuppression\)", id="detector with suppression"
    ),
    pytest.param(segmentation(), "not one score a class: a segmentation", id="segmentation"),
    pytest.param(text(), r"whole numbers \(x \[N, T\]\): a text model", id="text model"),
    pytest.param(custom(), "Mystery of 'acme' is a custom operator", id="custom operator"),
    pytest.param(in_training(), "BatchNormalization in training mode", id="training mode"),
    pytest.param(with_a_loss(), "it has SoftmaxCrossEntropyLoss", id="loss"),
    pytest.param(training_info(), "it has training_info", id="training info"),
    pytest.param(half_floats(), "16-bit floats", id="half floats"),
    pytest.param(branching(), r"it branches \(If\)", id="branches"),
    pytest.param(old(), "its opset is 6; onnxruntime runs 7 and newer", id="old opset"),
    pytest.param(nothing_learned(), "nothing was learned", id="no weights"),
    pytest.param(damaged_weights(), "values that are not numbers", id="not numbers"),
    pytest.param(
        small([1, 3, 32, 64]).model("scores"), "64 x 32 pixels; served are squares", id="not square"
    ),
    pytest.param(
        small([1, 1, 32, 32]).model("scores"), "no axis of its input has three", id="grey"
    ),
    pytest.param(small(["N", 3]).model("scores"), "one input with four axes", id="no image"),
    pytest.param(
        small(element=TensorProto.DOUBLE).model("scores"), "its input is double", id="double"
    ),
    pytest.param(small(end="Sigmoid").model("out"), "it ends in a sigmoid", id="sigmoid"),
    pytest.param(
        small(end="Softmax", axis=0).model("out"), "does not go over the classes", id="axis"
    ),
    pytest.param(
        small(end="Cast", to=INT64).model("out", INT64), "its output is int64", id="whole scores"
    ),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED)
def test_a_file_that_cannot_be_adopted_is_refused_with_the_reason(
    model: onnx.ModelProto, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(Refused, match=reason):
        adopt(path, TORCH.choices(write_labels(tmp_path)))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone.onnx"
    with pytest.raises(Refused, match=r"gone\.onnx is not a file"):
        adopt(gone, Choices())
    for content in (b"", b"junk", b"\x89PNG\r\n"):
        gone.write_bytes(content)
        with pytest.raises(Refused, match="is not an ONNX file, or a damaged one"):
            adopt(gone, Choices())


@settings(deadline=None, max_examples=30)
@given(cut=st.floats(0, 0.999))
def test_a_file_that_was_cut_off_is_refused(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = TORCH.unpack(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(Refused):
        adopt(path, TORCH.choices(write_labels(folder)))


def test_a_file_beyond_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(Refused, match="larger than 2 GB"):
        adopt(path, Choices())


@pytest.mark.parametrize("location", ["../outside.bin", "link.bin"])
def test_weights_outside_of_the_folder_are_not_read(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = TORCH.unpack(folder)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=64)
    (folder / "w.bin").rename(tmp_path / "outside.bin")
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for item in tensor.external_data:
            if item.key == "location":
                item.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(Refused, match="outside of its folder"):
        admission.admit(path)


def test_a_file_of_this_project_needs_no_import(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has a model card already"):
        adopt(export_random(tmp_path), Choices())


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        pytest.param({}, "give --like", id="nothing"),
        pytest.param({"mean": (0.5,)}, "give --like", id="mean alone"),
        pytest.param(
            {"like": "caffe"},
            "no preset 'caffe'; there are torchvision, torchvision_v2, keras",
            id="preset",
        ),
        pytest.param({"mean": (0.5,), "std": (0.5,)}, "--resize, --crop-fraction", id="no cut"),
        pytest.param({"like": "keras"}, "10 classes, imagenet has 1000 names", id="no labels"),
        pytest.param({"like": "keras", "mean": (124.0,)}, "from 0 to 1", id="mean in pixels"),
        pytest.param({"like": "keras", "std": (0.0,)}, "above 0", id="std of 0"),
        pytest.param(
            {"like": "keras", "std": (0.5, 0.5)}, "one number or three", id="two channels"
        ),
        pytest.param(
            {"like": "keras", "interpolation": "magic"},
            "--interpolation is 'magic'",
            id="interpolation",
        ),
        pytest.param({"like": "keras", "crop_fraction": 2.0}, "--crop-fraction is 2", id="crop"),
        pytest.param({"like": "keras", "layout": "nhwc"}, "--layout is nhwc, but", id="layout"),
        pytest.param({"like": "keras", "resolution": 64}, "64 does not go in", id="resolution"),
        pytest.param(
            {"like": "keras", "output": "boxes"}, "no output 'boxes'; there are linear", id="output"
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
    with pytest.raises(Refused, match="say with --resolution"):
        adopt(TORCH_SCRIPT.unpack(tmp_path), Choices(like="torchvision"))


def test_a_name_of_the_zoo_is_not_taken(tmp_path: Path) -> None:
    path, labels = KERAS.unpack(tmp_path), write_labels(tmp_path)
    for name in ("mobilenet_v2_1.0_224", "Über", "-"):
        with pytest.raises(Refused, match="name"):
            adopt(path, KERAS.choices(labels), name=name)


# --- other shapes of a classifier --------------------------------------------------------------


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "Some Model (v1).onnx"
    onnx.save(model, path)
    return path


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
    with pytest.raises(
        Refused, match="takes uint8 pixels and scales them itself: leave out --mean"
    ):
        adopt(path, Choices(like="keras", labels=str(labels), mean=(0.5,)))


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax", None])
def test_scores_of_any_kind_become_the_same_probabilities(end: str | None, tmp_path: Path) -> None:
    plain = adopt(saved(small().model("scores"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    sketch = small(end=end, axis=1) if end else small()
    other = adopt(
        saved(sketch.model("out" if end else "scores"), tmp_path),
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
    with pytest.raises(Refused, match="if class 0 is a background class, say --background"):
        adopt(path, KERAS.choices(labels))


def test_one_of_several_outputs_can_be_named(tmp_path: Path) -> None:
    path = saved(detector(), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path), output="scores"))
    assert [output.name for output in adoption.model.graph.output] == ["probabilities", "embedding"]
    assert "boxes_matrix" not in [tensor.name for tensor in adoption.model.graph.initializer]


def test_a_map_before_the_classes_is_pooled_for_the_embedding(tmp_path: Path) -> None:
    """As in SqueezeNet: the classes are pooled, not the features."""
    sketch = Sketch(["N", 3, 32, 32])
    kernel = sketch.const("k1", 6, 3, 3, 3)
    sketch.node("Conv", ["x", kernel], "map", strides=[2, 2], pads=[1, 1, 1, 1])
    sketch.node("Conv", ["map", sketch.const("k2", 10, 6, 1, 1)], "classes")
    sketch.node("GlobalAveragePool", ["classes"], "image")  # a name that the wrapper takes
    adoption = adopt(saved(sketch.model("image"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    [said] = [found.known_by for found in adoption.findings if found.what == "embedding"]
    assert said.startswith("no pooled features before the classes")
    probabilities, embedding = run(adoption.model, images(2, 96)[:, :32, :32])
    assert probabilities.shape == (2, 10)
    assert embedding.shape == (2, 6)


def test_a_batch_that_is_fixed_for_good_stays_one(tmp_path: Path) -> None:
    sketch = small()
    sketch.constants.append(helper.make_tensor("one", INT64, [2], [1, 10]))
    sketch.node("Expand", ["scores", "one"], "wide")
    sketch.constants.append(helper.make_tensor("row", INT64, [1], [0]))
    sketch.node("Gather", ["wide", "row"], "out", axis=0)
    adoption = adopt(saved(sketch.model("out"), tmp_path), KERAS.choices(write_labels(tmp_path)))
    assert [found.value for found in adoption.findings if found.what == "batch"] == ["1"]
    assert adoption.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


# --- class names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\ndog\n"),
        ("labels.json", '["cat", "dog"]'),
        ("labels.json", '{"1": "dog", "0": "cat"}'),
        ("labels.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"]}'),
    ],
)
def test_class_names_are_read_from_text_and_json(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_labels(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("labels.txt", "cat\n\ndog", "line 2 of .* is empty"),
        ("labels.json", "cat", "is no list of names"),
        ("labels.json", '{"cat": 0}', "its keys are not the numbers"),
        ("labels.json", "3", "neither a list nor an object"),
        ("labels.json", "[1]", "a name is not a text"),
    ],
)
def test_a_list_without_names_is_refused(name: str, text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Refused, match=reason):
        read_labels(path)
