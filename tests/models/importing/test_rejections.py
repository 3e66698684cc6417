"""What cannot be adopted: one line that names the reason."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from models.importing import checks
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.import_onnx import adopt
from tests.exports import export_random
from tests.models.importing.exported import TORCH, write_labels
from tests.models.importing.graphs import (
    INT64,
    boxes_and_classes,
    brain_floats,
    branching,
    custom,
    damaged_weights,
    detector,
    in_training,
    maps_of_several_sizes,
    nothing_learned,
    old,
    one_output_detector,
    segmentation,
    small,
    suppressing,
    text,
    training_info,
    with_a_loss,
)

REFUSED = [
    pytest.param(
        detector(),
        r"the model has 2 outputs \(scores .*boxes \[1, 4\]\), and a classifier has one",
        id="detector",
    ),
    pytest.param(
        one_output_detector(), r"\[1, 84, 1024\].*a detector", id="detector with one output"
    ),
    pytest.param(
        suppressing(), r"a detector \(NonMaxSuppression\)", id="detector with suppression"
    ),
    pytest.param(segmentation(), "not one score per class: a segmentation", id="segmentation"),
    pytest.param(text(), r"integers \(x \[N, T\]\), as in a text model", id="text model"),
    pytest.param(
        custom(), "Custom operators are not supported: Mystery of 'acme'", id="custom operator"
    ),
    pytest.param(in_training(), "BatchNormalization in training mode", id="training mode"),
    pytest.param(with_a_loss(), "it has SoftmaxCrossEntropyLoss", id="loss"),
    pytest.param(training_info(), "it has training_info", id="training info"),
    pytest.param(brain_floats(), r"bfloat16, .*float32: torch\.onnx\.export", id="bfloat16"),
    pytest.param(
        boxes_and_classes(), "has 2 outputs .*as a detector has: boxes", id="boxes and classes"
    ),
    pytest.param(maps_of_several_sizes(), "has 2 outputs .*as a detector has", id="YOLO"),
    pytest.param(branching(), r"The graph has branches \(If\)", id="branches"),
    pytest.param(old(), "The opset is 6; onnxruntime supports 7 and newer", id="old opset"),
    pytest.param(nothing_learned(), "no layer is learned", id="no weights"),
    pytest.param(damaged_weights(), "outputs are not finite", id="not numbers"),
    pytest.param(
        small([1, 3, 32, 64]).model("scores"), "64 x 32 pixels. Only square inputs", id="not square"
    ),
    pytest.param(
        small([1, 2, 32, 32]).model("scores"), "No axis of the input has three", id="two channels"
    ),
    pytest.param(small(["N", 3]).model("scores"), "one input with four axes", id="no image"),
    pytest.param(
        small(element=TensorProto.DOUBLE).model("scores"), "The input is double", id="double"
    ),
    pytest.param(
        small(end="Softmax", axis=0).model("out"), "softmax is not over the classes", id="axis"
    ),
    pytest.param(
        small(end="Cast", to=INT64).model("out", INT64), "The output is int64", id="whole scores"
    ),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED)
def test_a_file_that_cannot_be_adopted_is_rejected_with_the_reason(
    model: onnx.ModelProto, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(Refused, match=reason):
        adopt(path, TORCH.choices(write_labels(tmp_path)))


def test_what_is_not_an_onnx_file_is_rejected(tmp_path: Path) -> None:
    gone = tmp_path / "gone.onnx"
    with pytest.raises(Refused, match=r"gone\.onnx is not a file"):
        adopt(gone, Choices())
    for content in (b"", b"junk", b"\x89PNG\r\n"):
        gone.write_bytes(content)
        with pytest.raises(Refused, match="is not an ONNX file or is damaged"):
            adopt(gone, Choices())


@settings(deadline=None, max_examples=30)
@given(cut=st.floats(0, 0.999))
def test_a_file_that_was_cut_off_is_rejected(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = TORCH.unpack(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(Refused):
        adopt(path, TORCH.choices(write_labels(folder)))


def test_a_file_beyond_two_gigabytes_is_rejected_unread(tmp_path: Path) -> None:
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
    with pytest.raises(Refused, match="outside the folder of the model"):
        checks.admit(path)


def test_weights_that_were_left_behind_are_named(tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="m.onnx.data", size_threshold=64)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(Refused, match=r"in the file 'm\.onnx\.data', which is not beside it\. Put"):
        adopt(path, TORCH.choices(write_labels(tmp_path)))


def test_a_file_of_this_project_needs_no_import(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has a model card already"):
        adopt(export_random(tmp_path), Choices())
