"""Weights that do not become a model: of something else, damaged, hostile, or misunderstood."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.importing.checks import Refused
from tests.app.cli_runner import refused
from tests.models.checkpoints.tflite.tflite_files import File, network
from tests.models.checkpoints.torch import torch_files as write
from tests.models.checkpoints.torch.state_dicts import Tensors
from tests.models.importing.exported import write_labels
from tests.models.importing.finetuned import (
    FILES,
    KERAS_H5,
    TORCH,
    adopted,
    save_torch,
    torchvision_tensors,
    unpack,
)

Capture = pytest.CaptureFixture[str]


def other_network(tensors: Tensors) -> Tensors:
    return {name.replace("features", "layers"): values for name, values in tensors.items()}


def without_a_block(tensors: Tensors) -> Tensors:
    return {name: values for name, values in tensors.items() if "features.9." not in name}


def headless(tensors: Tensors) -> Tensors:
    return {name: values for name, values in tensors.items() if "classifier" not in name}


def with_a_stranger(tensors: Tensors) -> Tensors:
    return tensors | {"temperature": np.ones(1, np.float32)}


def overflowing(tensors: Tensors) -> Tensors:
    name = "classifier.1.weight"
    return tensors | {name: np.full_like(tensors[name], 3e38)}


def not_finite(tensors: Tensors) -> Tensors:
    name = "classifier.1.weight"
    return tensors | {name: np.full_like(tensors[name], np.nan)}


def with_one_class(_: Tensors) -> Tensors:
    return torchvision_tensors(classes=1)


def of_no_width(tensors: Tensors) -> Tensors:
    """Twelve channels, not eight, between the first block's two layers."""
    changed = dict(tensors)
    for name in tensors:
        if name.startswith("features.1.conv.1.") or name.startswith("features.1.conv.2."):
            shape = tensors[name].shape
            changed[name] = np.ones((12, *shape[1:]), np.float32) if shape else tensors[name]
    expand = "features.2.conv.0.0.weight"
    changed[expand] = np.ones((tensors[expand].shape[0], 12, 1, 1), np.float32)
    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_network, r"not a MobileNetV1 or V2 as .*; import another network as ONNX"),
        (without_a_block, r"\(features\.9\.conv\.0\.0, .*\); import another network as ONNX"),
        (headless, r"0 linear layers, and a MobileNet has one"),
        (with_a_stranger, r"tensors are not of this mobilenet_v2: temperature"),
        (overflowing, r"outputs are not finite: the weights are damaged"),
        (not_finite, r"classifier has a weight that is not a finite number"),
        (with_one_class, r"The model has one score"),
        (of_no_width, r"no width multiplier from 0\.01 to 2\.0 gives the channels"),
    ],
)
def test_weights_of_something_else_are_one_clear_error(
    change: Callable[[Tensors], Tensors], reason: str, tmp_path: Path
) -> None:
    path = save_torch(tmp_path / "own.pth", change(torchvision_tensors()))
    with pytest.raises(Refused, match=reason) as caught:
        adopted(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"resolution": 100}, "Resolution is 100; it must be a multiple of 32"),
        (
            {"layout": "nchw"},
            "--layout applies to ONNX files only, and loop.pth.tar contains weights. Remove it.",
        ),
        ({"output": "x"}, "--output applies to ONNX files only"),
        ({"like": "foo"}, "Unknown preset 'foo'. Supported: torchvision, "),
        ({"labels": "imagenet"}, "The model has 10 classes, imagenet has 1000 names"),
        ({"background": True}, "The model has 9 classes and a background, .* has 10 names"),
        ({"mean": (0.5,), "std": (0.0,)}, r"--std is .*; it must be above 0"),
    ],
)
def test_what_cannot_be_meant_is_rejected(
    said: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=reason):
        adopted(unpack(TORCH, tmp_path), **said)


def test_a_quantised_file_scales_its_own_pixels(published_weights: Path) -> None:
    path = published_weights / "mobilenet_v1_0.25_128_quant.tflite"
    with pytest.raises(Refused, match=r"scales them itself\. Remove --mean"):
        adopted(path, labels="imagenet", mean=(0.5,), resolution=None)
    with pytest.raises(Refused, match="fixed at 128 pixels; resolution 96 is not possible"):
        adopted(path, labels="imagenet", resolution=96)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda file: file.operators.pop(3),
            r"own\.tflite: '\w+' is read before it is made",
        ),
        (lambda file: file.operators.append(file.operators[-1]), "'probabilities' is made twice"),
        (lambda file: setattr(file.operators[2], "kind", "COS"), "has operator COS"),
    ],
)
def test_a_tflite_file_of_something_else_is_rejected(
    change: Callable[[File], object], reason: str, tmp_path: Path
) -> None:
    file = network("mobilenet_v1", quantized=False)
    change(file)
    path = tmp_path / "own.tflite"
    path.write_bytes(file.encode())
    with pytest.raises(Refused, match=reason):
        adopted(path, like="tflite")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut early": lambda whole: whole[:40],
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut late": lambda whole: whole[:-9],
    "text": lambda _: b"these are no weights\n" * 99,
    "compressed": lambda whole: gzip.compress(whole, 1),
    "zip of something": lambda _: write.zipped(b"", {}).replace(b"data.pkl", b"data.txt"),
}


@pytest.mark.parametrize("name", [*FILES, "own.tflite", "own.safetensors", "own.weights.h5"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_one_line_by_the_name_of_the_file(
    damage: Callable[[bytes], bytes], name: str, capsys: Capture, tmp_path: Path
) -> None:
    whole = unpack(name if name in FILES else KERAS_H5, tmp_path).read_bytes()
    (tmp_path / name).write_bytes(damage(whole))
    text = refused(
        capsys, "models", "import", str(tmp_path / name), "--resolution", "96",
        "--labels", str(write_labels(tmp_path)), "--store", str(tmp_path / "store"),
    )  # fmt: skip
    assert "\n" not in text
    assert text.startswith(name)
    assert not (tmp_path / "store").exists()


def test_a_pickle_that_asks_for_more_than_tensors_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    code = write.call("posix system", write.text("true"))
    path.write_bytes(write.zipped(write.mapping({"state_dict": code}), {}))
    with pytest.raises(Refused, match=r"asks for posix\.system, which is not allowed"):
        adopted(path)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            "torch._utils _rebuild_qtensor",
            r"quantised by torch \(torch\._utils\._rebuild_qtensor\); import the float weights .* "
            r"'models quantize', or .* torch\.onnx\.export",
        ),
        ("torch per_channel_affine", "quantised by torch"),
        ("torch qint8", "quantised by torch"),
        ("torchao.dtypes.affine_quantized_tensor AffineQuantizedTensor", "quantised by torch"),
        (
            "torchvision.models.mobilenetv2 MobileNetV2",
            r"such as a whole model.*torch\.load\(file, weights_only=False\).*state_dict\(\).*"
            r"torch\.onnx\.export",
        ),
        ("__main__ Net", "such as a whole model"),
    ],
)
def test_what_torch_alone_can_load_is_told_how_to_leave_it(
    function: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.pth"
    code = write.call(function, write.text("x"))
    path.write_bytes(write.zipped(write.mapping({"features.0.0.weight": code}), {}))
    with pytest.raises(Refused, match=reason) as caught:
        adopted(path)
    assert "\n" not in str(caught.value)
