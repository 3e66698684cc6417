"""`.tflite` files that are refused: of another family, of another converter, damaged."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite import tflite
from models.checkpoints.tflite.graph import MAX_OPERATORS, MAX_TENSORS
from tests.models.checkpoints.tflite.tflite_changes import (
    add_tensors,
    operator,
    options,
    put_before,
    put_behind,
    save,
    share_scales,
    tensor,
)
from tests.models.checkpoints.tflite.tflite_files import (
    Change,
    network,
    split,
)


@pytest.mark.parametrize("affine", [(6 / 255, 1), (6 / 254, 0), None])
def test_two_files_that_do_not_meet_are_rejected(
    tmp_path: Path, affine: tuple[float, int] | None
) -> None:
    first, second = split(network("mobilenet_v1", quantized=True))
    second = copy.deepcopy(second)
    second.tensors[second.inputs[0]].affine = affine
    with pytest.raises(CheckpointError, match=r"0\.tflite, 1\.tflite: the two files do not meet"):
        tflite.read(save(tmp_path, first, second), "mobilenet_v1")


NOT_A_NUMBER = (float("nan"), 0)
WRONG: dict[str, tuple[Change, str]] = {
    "stride": (options("CONV_2D", 1, StrideH=2), r"block_0_project has \(\(2, 1\)"),
    "dilation": (options("DEPTHWISE_CONV_2D", DilationWFactor=2), "block_0_depthwise has"),
    "padding": (options("CONV_2D", Padding=schema.Padding.VALID), "stem has .*VALID"),
    "unknown padding": (options("CONV_2D", Padding=9), "stem has .*number 9"),
    "no activation": (options("CONV_2D", FusedActivationFunction=0), "stem has .*NONE"),
    "activation of the sum": (options("ADD", FusedActivationFunction=1), "block_2_add has"),
    "pool of a part": (options("AVERAGE_POOL_2D", FilterWidth=2), "pool sees"),
    "softmax with a temperature": (options("SOFTMAX", Beta=2.0), "a plain softmax"),
    "no options": (operator("CONV_2D", options=None), "CONV_2D comes without its options"),
    "other operator": (operator("ADD", kind="COS"), "has operator COS, which is not"),
    "operator out of place": (operator("ADD", kind="SOFTMAX"), "block_2_add is a SOFTMAX, not ADD"),
    "another input": (operator("CONV_2D", 2, inputs=[0, 1, 2]), "block_1_expand is fed by another"),
    "no bias": (operator("CONV_2D", inputs=[0, 1]), "stem does not have a kernel and a bias"),
    "absent bias": (operator("CONV_2D", inputs=[0, 1, -1]), "stem does not have a kernel"),
    "no inputs": (operator("CONV_2D", inputs=[]), "does not have inputs and one output"),
    "two outputs": (operator("CONV_2D", outputs=[3, 3]), "does not have inputs and one output"),
    "thousands of inputs": (operator("CONV_2D", inputs=[0] * 2000), "2000 inputs or outputs"),
    "index too high": (operator("CONV_2D", inputs=[0, 1, 5000]), "index 5000 is not among its"),
    "index too low": (operator("CONV_2D", outputs=[-1]), "index -1 is not among its"),
    "two inputs": (lambda file: file.inputs.append(1), "has 2 inputs; a classifier of images"),
    "boxes": (
        lambda file: file.outputs.append(file.find("CONV_2D").outputs[0]),
        "it is a detector, not a classifier",
    ),
    "two flat results": (
        lambda file: file.outputs.append(file.outputs[0]),
        r"has 2 outputs \(\[1, 5\], \[1, 5\]\); a classifier has one",
    ),
    "for the Edge TPU": (
        operator("CONV_2D", kind="CUSTOM edgetpu-custom-op"),
        "is compiled for the Edge TPU, .* import the file that was given to edgetpu_compiler",
    ),
    "detector": (
        operator("SOFTMAX", kind="CUSTOM TFLite_Detection_PostProcess"),
        "is a detector .*; train or choose a model of image classification",
    ),
    "custom operator": (operator("ADD", kind="CUSTOM Mystery"), "the custom operator 'Mystery'"),
    "output out of range": (lambda file: file.outputs.__setitem__(0, 999), "index 999"),
    "output elsewhere": (lambda file: file.outputs.__setitem__(0, 3), "a plain softmax"),
    "ends early": (lambda file: file.operators.pop(), "ends before probabilities"),
    "goes on": (lambda file: file.operators.append(file.operators[-1]), "a plain softmax"),
    "two subgraphs": (lambda file: setattr(file, "subgraphs", 2), "2 subgraphs, not one"),
    "too many tensors": (add_tensors, f"more than {MAX_TENSORS} and {MAX_OPERATORS}"),
    "long": (tensor("image", dtype="int16"), "neither float32, float16, uint8, int8, int32"),
    "no scale": (tensor("stem", affine=None), "'stem' is not uint8 or int8 with one scale"),
    "not a number": (tensor("stem", affine=NOT_A_NUMBER), "a scale that is not a number above 0"),
    "negative scale": (tensor("stem", affine=(-1.0, 0)), "a scale that is not a number above 0"),
    "scales a channel": (tensor("stem/kernel", affine=([1.0] * 8, [0] * 8)), "with one scale"),
    "two scales": (tensor("stem", affine=([1.0] * 2, [0] * 2)), "'stem' has 2 scales for shape"),
    "scales shared by many": (share_scales, "tensors have 8.* scales together, more than 200000"),
    "zero points": (tensor("stem", affine=(1.0, [0, 0])), "'stem' has 1 scales for shape"),
    "zero point": (tensor("stem", affine=(1.0, 256)), "'stem' has zero point 256"),
    "bias scale": (tensor("stem/bias", affine=(1.0, 0)), "'stem/bias' has scale 1, not 0.00195"),
    "bias zero point": (tensor("stem/bias", affine=(0.25 / 128, 1)), "zero point 0"),
    "float bias": (tensor("stem/bias", dtype="float32"), "is not int32 with zero point 0"),
    "pool changes scale": (tensor("pool", affine=(1.0, 0)), "'pool' changes the scale of 'head'"),
    "reshape changes scale": (tensor("squeezed", affine=(1.0, 0)), "'squeezed' changes the scale"),
    "reshape to a square": (tensor("squeezed", shape=(5, 5)), r"to \(5, 5\)"),
    "pool keeps a map": (tensor("pool", shape=(1, 2, 2, 8)), r"pool makes \(1, 2, 2, 8\)"),
    "kernel of another shape": (tensor("stem/kernel", shape=(8, 9, 3, 1)), "stem has a kernel"),
    "flat kernel": (tensor("stem/kernel", shape=(216,)), r"'stem/kernel' has shape \(216,\)"),
    "square bias": (tensor("stem/bias", shape=(2, 4)), r"'stem/bias' has shape \(2, 4\)"),
    "bytes missing": (tensor("stem/kernel", shape=(8, 3, 3, 4)), "'stem/kernel' has 216 bytes"),
    "no bytes": (tensor("stem/kernel", values=None), "'stem/kernel' has no values"),
    "negative size": (tensor("stem", shape=(1, -1, 1, 1)), "'stem' has shape"),
    "many axes": (tensor("stem", shape=(1,) * 9), "'stem' has 9 dimensions"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_of_the_family_is_rejected(tmp_path: Path, what: str) -> None:
    change, reason = WRONG[what]
    file = network("mobilenet_v2", quantized=True)
    change(file)
    with pytest.raises(CheckpointError, match=rf"0\.tflite: .*{reason}"):
        tflite.read(save(tmp_path, file), "mobilenet_v2")


STEPS = [(at + 1) / 64 for at in range(8)]
WRONG_SIGNED: dict[str, tuple[Change, str]] = {
    "axis": (tensor("stem/kernel", axis=3), "'stem/kernel' has its scales along axis 3, not 0"),
    "depthwise axis": (tensor("block_0_depthwise/kernel", axis=0), "along axis 0, not 3"),
    "zero point": (tensor("stem/kernel", affine=(STEPS, [0, 1] * 4)), "a zero point that is not 0"),
    "scales": (tensor("stem/kernel", affine=([1.0] * 3, [0] * 3)), "a scale for each output"),
    "uint8 kernel": (tensor("stem/kernel", dtype="uint8"), "is not uint8 or int8 with one scale"),
    "bias scales": (tensor("stem/bias", affine=([1.0] * 8, [0] * 8)), "has scale 1, not 0.00012"),
    "one bias scale": (tensor("stem/bias", affine=(STEPS[0] / 128, 0)), "has scale 0.00012"),
    "activation scales": (tensor("stem", affine=(STEPS, [0] * 8)), "'stem' is not uint8 or int8"),
    "beyond 6": (tensor("stem", affine=(0.05, -128)), "ranges from -?0 to 12.75 behind a ReLU6"),
    "below 0": (tensor("stem", affine=(0.02, 0)), "ranges from -2.56 to 2.54 behind a ReLU6"),
    "floats": (put_before("QUANTIZE", "float32", None), "takes floats; convert it with inference"),
    "input scale": (put_before("QUANTIZE", "uint8", (0.1, 128)), "'image' changes the scale"),
    "input zero": (put_before("QUANTIZE", "uint8", (1 / 128, 127)), "'image' changes the scale"),
    "input type": (put_before("QUANTIZE", "int8", (1 / 128, 0)), "'image' changes the scale"),
    "two casts": (
        lambda file: (put_behind("QUANTIZE", "uint8")(file), put_behind("QUANTIZE", "uint8")(file)),
        "a plain softmax",
    ),
    "cast of logits": (put_behind("DEQUANTIZE", "float32", "squeezed"), "a plain softmax"),
}


@pytest.mark.parametrize("what", WRONG_SIGNED)
def test_what_todays_converter_does_not_write_is_rejected(tmp_path: Path, what: str) -> None:
    change, reason = WRONG_SIGNED[what]
    file = network("mobilenet_v2", quantized=True, signed=True)
    change(file)
    with pytest.raises(CheckpointError, match=rf"0\.tflite: .*{reason}"):
        tflite.read(save(tmp_path, file), "mobilenet_v2")


def test_an_integer_kernel_among_floats_is_rejected(tmp_path: Path) -> None:
    file = network("mobilenet_v1", quantized=False)
    tensor("Conv2d_0/bias", dtype="int32")(file)
    with pytest.raises(CheckpointError, match="'Conv2d_0/bias' is int32 in a float32 file"):
        tflite.read(save(tmp_path, file), "mobilenet_v1")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"affine": (1.0, 3)}, "is int8 in a float32 file"),
        ({"affine": None}, "is int8 in a float32 file"),
        ({"affine": ([1.0] * 3, [0] * 3), "axis": 0}, "has 3 scales for"),
        ({"affine": ([1.0] * 8, [0] * 8), "axis": 9}, "has 8 scales for"),
    ],
)
def test_kernels_in_integers_that_stand_for_no_floats_are_rejected(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    file = network("mobilenet_v1", quantized=False)
    values = np.ones((1, 3, 3, 8), np.int8)
    tensor("Conv2d_1_depthwise/kernel", **({"dtype": "int8", "values": values} | fields))(file)
    with pytest.raises(CheckpointError, match=f"'Conv2d_1_depthwise/kernel' {reason}"):
        tflite.read(save(tmp_path, file), "mobilenet_v1")


def test_a_file_of_the_other_family_is_rejected(tmp_path: Path) -> None:
    paths = save(tmp_path, network("mobilenet_v1", quantized=False))
    with pytest.raises(CheckpointError, match="in the family"):
        tflite.read(paths, "mobilenet_v2")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a TFLite file, which has TFL3 at byte 4"),
        (b"\x80\x02}.", "not a TFLite file"),
        (b"\xff\xff\xff\xffTFL3", "cut off or damaged"),
        (b"\x08\0\0\0TFL3\xff\xff\xff\x7f", "cut off or damaged"),
    ],
)
def test_another_file_is_rejected(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model\.tflite: {reason}"):
        tflite.read([path], "mobilenet_v1")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.tflite: No such file"):
        tflite.read([tmp_path / "model.tflite"], "mobilenet_v1")


def test_no_file_at_all_is_rejected() -> None:
    with pytest.raises(CheckpointError, match="no file to read"):
        tflite.read([], "mobilenet_v1")


WHOLE = network("mobilenet_v2", quantized=True).encode()


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tflite") / "model.tflite"


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_off_anywhere_is_rejected(scratch: Path, size: int) -> None:
    scratch.write_bytes(WHOLE[:size])
    with pytest.raises(CheckpointError):
        tflite.read([scratch], "mobilenet_v2")


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_rejected(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        layers = tflite.read([scratch], "mobilenet_v2").layers
    except CheckpointError:
        return
    assert sum(layer.kernel.nbytes for layer in layers.values()) < 10 * len(content)
