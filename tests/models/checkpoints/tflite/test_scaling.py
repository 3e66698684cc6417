"""Files whose network scales its own pixels are the same as those whose caller does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite as schema

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite import tflite
from tests.models.checkpoints.keras.keras_files import same
from tests.models.checkpoints.tflite.tflite_files import File, FileOperator, network

NONE = {"FusedActivationFunction": schema.ActivationFunctionType.NONE}


def put_scaling(
    file: File,
    factor: float = 1 / 127.5,
    shift: float = -1.0,
    second: str = "ADD",
    size: int = 1,
    **options: Any,
) -> None:
    """Let MUL and ADD, or another operator, make what the first layer reads."""
    image = file.inputs[0]
    shape = file.tensors[image].shape
    constants = [
        file.add(name, (size,), "float32", np.full(size, value, np.float32))
        for name, value in (("factor", factor), ("shift", shift))
    ]
    file.inputs[0] = file.add("pixels", shape, "float32")
    between = file.add("multiplied", shape, "float32")
    file.operators[:0] = [
        FileOperator("MUL", [file.inputs[0], constants[0]], [between], NONE | options),
        FileOperator(second, [between, constants[1]], [image], NONE),
    ]


def read(file: File, folder: Path) -> Any:
    path = folder / "own.tflite"
    path.write_bytes(file.encode())
    return tflite.read([path], "mobilenet_v1")


@pytest.mark.parametrize(("second", "shift"), [("ADD", -1.0), ("SUB", 1.0)])
def test_scaling_to_one_is_left_out(second: str, shift: float, tmp_path: Path) -> None:
    plain, scaling = (network("mobilenet_v1", quantized=False) for _ in range(2))
    put_scaling(scaling, shift=shift, second=second)
    assert same(read(plain, tmp_path), read(scaling, tmp_path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"factor": 1 / 255, "shift": 0}, "scales its pixels as 0.0039.* --mean and --std"),
        ({"shift": 1}, r"as 0\.0078.* \* pixel \+1, not to -1 \.\.\. 1"),
        ({"second": "SUB"}, r"pixel \+1, not to"),
        ({"second": "MUL"}, "multiplies its pixels and adds nothing"),
        ({"size": 3}, "its first MUL has 3 numbers, not one"),
        ({"FusedActivationFunction": 1}, "its first MUL is no scaling of pixels"),
    ],
)
def test_another_scaling_is_rejected(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    file = network("mobilenet_v1", quantized=False)
    put_scaling(file, **changes)
    with pytest.raises(CheckpointError, match=rf"own\.tflite: .*{reason}"):
        read(file, tmp_path)


def test_a_factor_that_is_no_constant_is_rejected(tmp_path: Path) -> None:
    file = network("mobilenet_v1", quantized=False)
    put_scaling(file)
    first = file.operators[0]
    first.inputs[1] = first.outputs[0]
    with pytest.raises(CheckpointError, match="'multiplied' is no constant"):
        read(file, tmp_path)


@pytest.mark.parametrize(
    ("image", "reason"), [((2 / 255, 127), None), ((1 / 128, 100), "ranges from -0.78")]
)
def test_in_integers_a_pixel_has_to_stay_its_own_level(
    image: tuple[float, int], reason: str | None, tmp_path: Path
) -> None:
    file = network("mobilenet_v1", quantized=True)
    put_scaling(file)
    [scaled] = [one for one in file.tensors if one.name == "image"]
    bias = next(one for one in file.tensors if one.name == "Conv2d_0/bias")
    scaled.affine, bias.affine = image, (image[0] * 0.25, 0)
    for one in file.tensors:
        if one.name in ("pixels", "multiplied"):
            one.dtype, one.affine = "uint8", (1.0, 0)
    if reason is None:
        assert read(file, tmp_path).quantization.activations["image"].zero_point == 127
        return
    with pytest.raises(CheckpointError, match=f"'image' {reason}"):
        read(file, tmp_path)
