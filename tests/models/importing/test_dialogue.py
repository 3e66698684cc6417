"""All that a file leaves open is asked for at once; a known file is asked for nothing."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from app.model.runtime import new_session
from models.export.graph import InputScaling
from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.missing import Missing, Question
from models.importing.dialogue.options import Choices
from models.importing.import_onnx import adopt
from models.zoo.zoo import formats
from tests.models.importing.exported import TORCH, run, write_labels
from tests.models.importing.finetuned import KERAS, save_torch, torchvision_tensors, unpack
from tests.models.importing.finetuned import TORCH as TORCH_WEIGHTS
from tests.models.importing.graphs import FLOAT, detector, saved, small
from tests.models.importing.inputs import SIDE, images, scaled
from tests.models.translation.tflite import operator_files
from tests.models.translation.tflite.operator_files import encode

SCALED: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}


def asked(path: Path, **stated: Any) -> dict[str, Question]:
    """The questions of an import, by their options."""
    with pytest.raises(Missing) as caught:
        adopt_file(path, Choices(**stated))
    return {question.option: question for question in caught.value.questions}


def of_any_size(folder: Path) -> Path:
    """Two outputs, any layout, any size: it says nothing of itself."""
    builder = small(["N", "a", "b", "c"])
    builder.node("MatMul", ["flat", builder.const("other_matrix", 8, 4)], "other")
    model = builder.model("scores")
    model.graph.output.append(helper.make_tensor_value_info("other", FLOAT, ["N", 4]))
    return saved(model, folder)


def test_all_that_is_missing_is_asked_for_at_once(tmp_path: Path) -> None:
    questions = asked(of_any_size(tmp_path))
    assert list(questions) == ["--layout", "--output", "--resolution", "--labels", "--mean, --std"]
    answers = {
        option: [one.arguments for one in each.choices] for option, each in questions.items()
    }
    assert answers["--layout"] == ["--layout nchw", "--layout nhwc"]
    assert answers["--output"] == ["--output scores", "--output other"]
    assert {"--mean 0.5 --std 0.5", "--mean 0 --std 1"} < set(answers["--mean, --std"])


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    path = of_any_size(tmp_path)
    stated: dict[str, Any] = {
        "layout": "nchw",
        "output": "scores",
        "resolution": 32,
        "labels": str(write_labels(tmp_path)),
        **SCALED,
    }
    options = {"layout": "--layout", "output": "--output", "resolution": "--resolution",
               "labels": "--labels", "mean": "--mean, --std"}  # fmt: skip
    for left_out, option in options.items():
        known = {name: value for name, value in stated.items() if name != left_out}
        assert list(asked(path, **known)) == [option]
    assert adopt_file(path, Choices(**stated)).card.resolution == 32


def test_a_layout_that_the_graph_turns_is_asked_for_with_all_else(tmp_path: Path) -> None:
    """In the other layout the graph does not run, so that nothing else would be known."""
    builder = small(["N", "a", "b", "c"])
    builder.nodes[0].input[0] = "turned"
    builder.nodes.insert(0, helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2]))
    path = saved(builder.model("scores"), tmp_path)
    options = ["--layout", "--resolution", "--labels", "--mean, --std"]
    assert list(asked(path)) == options


def test_a_keras_model_of_any_size_asks_for_the_trained_one_with_all_else(tmp_path: Path) -> None:
    path = unpack(KERAS, tmp_path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["config.json"] = entries["config.json"].replace(b"96, 96", b"null, null")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert list(asked(path)) == ["--resolution", "--labels"]
    labels = str(write_labels(tmp_path))
    assert adopt_file(path, Choices(labels=labels, resolution=SIDE)).card.resolution == SIDE


def test_a_file_beside_it_is_named_as_its_labels(tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path)
    (tmp_path / "class_indices.json").write_text("{}")
    [first, *_] = asked(path, like="torchvision")["--labels"].choices
    assert first.arguments == f"--labels {tmp_path / 'class_indices.json'}"


def test_what_no_answer_could_mend_is_told_before_any_question(tmp_path: Path) -> None:
    path = saved(small(end="Softmax", axis=0).model("out"), tmp_path)
    with pytest.raises(Refused, match="softmax is not over the classes") as caught:
        adopt_file(path, Choices())
    assert not isinstance(caught.value, Missing)


def test_a_question_comes_before_what_its_answer_may_mend(tmp_path: Path) -> None:
    """The first output is none of a classifier, the second may be."""
    model = detector()
    outputs = [model.graph.output[at] for at in (1, 0)]
    builder = onnx.ModelProto()
    builder.CopyFrom(model)
    del builder.graph.output[:]
    builder.graph.output.extend(outputs)
    assert "--output" in asked(saved(builder, tmp_path), like="torchvision")


@pytest.mark.parametrize("name", ["keras", "torch", "tflite", "onnx"])
def test_no_scaling_is_assumed_in_silence(name: str, tmp_path: Path) -> None:
    """Six of eight owners of such files divide by 255."""
    path = tmp_path / f"own.{name}"
    if name == "tflite":
        path.write_bytes(encode("softmax", "float32"))
    elif name == "onnx":
        path = TORCH.unpack(tmp_path)
    elif name == "torch":
        save_torch(path.with_suffix(".pth"), torchvision_tensors())
        path = path.with_suffix(".pth")
    else:
        path = weights_of_keras(tmp_path)
    size: dict[str, Any] = {"resolution": SIDE} if name in ("keras", "torch") else {}
    with pytest.raises(Missing) as caught:
        adopt_file(path, Choices(labels=str(names_of(path, name)), **size))
    [question] = caught.value.questions
    assert question.option == "--mean, --std"
    answers = [one.arguments for one in question.choices]
    assert {"--mean 0.5 --std 0.5", "--mean 0 --std 1", "--photos FOLDER"} < set(answers)


def weights_of_keras(folder: Path) -> Path:
    with zipfile.ZipFile(unpack(KERAS, folder)) as archive:
        path = folder / "own.weights.h5"
        path.write_bytes(archive.read("model.weights.h5"))
    return path


def names_of(path: Path, name: str) -> Path:
    if name != "tflite":
        return write_labels(path.parent)
    labels = path.with_name("labels.txt")
    labels.write_text("a\nb\nc\nd\n")
    return labels


def test_a_published_file_is_asked_for_nothing(published_weights: Path) -> None:
    adoption = adopt_file(published_weights / "mobilenet_v1_0.25_128.tflite", Choices(), "own")
    form = formats()["tflite_float"]
    known = {finding.what: finding.known_by for finding in adoption.findings}
    published = "published as mobilenet_v1_0.25_128"
    assert (known["scaling"], known["labels"]) == (published, published)
    assert adoption.card.preprocessing == form.preprocessing
    assert (adoption.card.labels[0], adoption.card.background) == ("tench", 0)


def test_the_name_of_a_zoo_model_is_one_more_question(tmp_path: Path) -> None:
    path = tmp_path / "mobilenet_v2_1.0_224.onnx"
    path.write_bytes(TORCH.unpack(tmp_path).read_bytes())
    questions = asked(path, like="torchvision")
    assert list(questions) == ["--labels", "--name"]
    assert questions["--name"].choices[0].arguments == "--name my_mobilenet_v2_1.0_224"


@pytest.mark.parametrize(
    ("shape", "resize", "usual"),
    [
        ([1, 3, 32, 32], ("shortest_edge", 0.875), "usual for PyTorch"),
        ([1, 32, 32, 3], ("central_crop", 1), "usual for Keras"),
    ],
)
def test_the_usual_preprocessing_is_a_finding(
    shape: list[int | str], resize: tuple[str, float], usual: str, tmp_path: Path
) -> None:
    builder = small(shape)
    if shape[3] == 3:
        builder.nodes[0].input[0] = "turned"
        turn = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2])
        builder.nodes.insert(0, turn)
    path = saved(builder.model("scores"), tmp_path)
    labels = str(write_labels(tmp_path))
    adoption = adopt(path, Choices(labels=labels, **SCALED))
    cut = adoption.card.preprocessing
    assert (cut.resize, cut.crop_fraction, cut.interpolation) == (*resize, "bilinear")
    known = {finding.what: finding.known_by for finding in adoption.findings}
    assert known["preprocessing"] == usual
    stated = adopt(path, Choices(labels=labels, crop_fraction=0.5, **SCALED))
    known = {finding.what: finding.known_by for finding in stated.findings}
    assert stated.card.preprocessing.crop_fraction == 0.5
    assert known["preprocessing"] == f"--crop-fraction, {usual}"


def calibrated_on_noise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its integers stand for -7 to 7."""
    side = operator_files.SIDE
    monkeypatch.setattr(
        operator_files.Builder, "image", lambda b: b.activation("image", (1, side, side, 3), -7, 7)
    )
    path = folder / "own.tflite"
    path.write_bytes(encode("softmax", "uint8"))
    return path


def test_a_quantised_input_of_no_pixel_scale_needs_a_scaling_or_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = calibrated_on_noise(tmp_path, monkeypatch)
    labels = str(names_of(path, "tflite"))
    questions = asked(path)
    assert list(questions) == ["--labels", "--mean, --std"]
    assert "ranges from -7" in questions["--mean, --std"].why
    assert "--as-stored" in [one.arguments for one in questions["--mean, --std"].choices]
    adoption = adopt_file(path, Choices(labels=labels, as_stored=True), "own")
    found = {finding.what: finding.value for finding in adoption.findings}
    assert (found["scaling"], found["judged by"]) == ("none: it takes pixels", "LiteRT")


def test_as_stored_is_for_quantised_inputs_only(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no quantised one\. Remove --as-stored"):
        adopt(TORCH.unpack(tmp_path), Choices(as_stored=True))


@pytest.mark.parametrize(
    ("precision", "options"),
    [("float32", ["--labels", "--mean, --std"]), ("int8", ["--labels"])],
)
def test_only_float_inputs_leave_their_scaling_open(
    precision: str, options: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", precision))
    assert list(asked(path)) == options


def test_a_graph_that_takes_bytes_scales_them_itself(tmp_path: Path) -> None:
    builder = small([1, 3, 32, 32])
    cast = helper.make_node("Cast", ["pixels"], ["x"], to=FLOAT)
    builder.nodes.insert(0, cast)
    model = builder.model("scores")
    model.graph.input[0].name = "pixels"
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    assert list(asked(saved(model, tmp_path))) == ["--labels"]


# --- the order of the channels -----------------------------------------------------------------


def test_channels_are_reversed_exactly(tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path)
    labels = write_labels(tmp_path)
    adoption = adopt(path, TORCH.choices(labels, bgr=True))
    fed = scaled(images(), *torchvision())[..., ::-1].transpose(0, 3, 1, 2)
    assert abs(run(adoption.model)[0] - answers(path, fed)).max() < 1e-4
    known = {finding.what: finding for finding in adoption.findings}["channels"]
    assert (known.value, known.known_by) == ("blue, green, red", "--bgr")
    mirrored = run(adopt(path, TORCH.choices(labels)).model, images()[..., ::-1].copy())[0]
    assert abs(run(adoption.model)[0] - mirrored).max() > 1e-3  # mean and deviation are by colour


def torchvision() -> tuple[tuple[float, ...], tuple[float, ...]]:
    scaling: InputScaling = formats()["torchvision"].scaling
    return scaling.mean, scaling.std


def answers(path: Path, fed: Any) -> Any:
    """Probabilities of a file of torch for what it is fed."""
    session = new_session(path)
    [entry] = session.get_inputs()
    rows = [session.run(None, {entry.name: one[None].copy()})[0][0] for one in fed]
    powers = np.exp(np.stack(rows))
    return powers / powers.sum(axis=1, keepdims=True)


def test_weights_of_reversed_channels_answer_reversed_images_alike(tmp_path: Path) -> None:
    path = unpack(TORCH_WEIGHTS, tmp_path)
    stated: dict[str, Any] = {"labels": str(write_labels(tmp_path)), "resolution": SIDE, **SCALED}
    plain, reversed_ = (adopt_file(path, Choices(bgr=bgr, **stated)) for bgr in (False, True))
    expected = run(plain.model, images()[..., ::-1].copy())[0]
    assert abs(run(reversed_.model)[0] - expected).max() < 1e-4
    assert abs(run(plain.model)[0] - expected).max() > 1e-2


def test_grey_has_no_order_of_channels(tmp_path: Path) -> None:
    builder = small([1, 1, 32, 32])
    builder.const("grey", 8, 1, 3, 3)
    builder.nodes[0].input[1] = "grey"
    path = saved(builder.model("scores"), tmp_path)
    with pytest.raises(Refused, match=r"one channel.* Remove --bgr"):
        adopt(path, Choices(bgr=True, **SCALED))
