import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card import Family
from models.checkpoints import tflite
from models.checkpoints.canonical import Affine, CheckpointError
from models.checkpoints.tflite_graph import MAX_OPERATORS, MAX_TENSORS
from models.cost import network_cost
from models.mobilenet_v1 import mobilenet_v1
from models.mobilenet_v2 import mobilenet_v2
from tests.models.checkpoints.tflite_files import (
    CLASSES,
    Change,
    File,
    FileOperator,
    FileTensor,
    network,
    split,
)

FAMILIES: list[Family] = ["mobilenet_v1", "mobilenet_v2"]


def save(folder: Path, *files: File) -> list[Path]:
    paths = [folder / f"{index}.tflite" for index in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.encode())
    return paths


def kernel_of(file: File, name: str) -> Any:
    return next(tensor.values for tensor in file.tensors if tensor.name == f"{name}/kernel")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("linear", ["CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize("pool", ["AVERAGE_POOL_2D", "MEAN"])
def test_float_weights_are_read_as_they_are(
    tmp_path: Path, family: Family, linear: str, pool: str
) -> None:
    file = network(family, quantized=False, linear=linear, pool=pool)
    checkpoint = tflite.read(save(tmp_path, file), family)
    assert checkpoint.quantization is None
    first, depthwise = {
        "mobilenet_v1": ("Conv2d_0", "Conv2d_1_depthwise"),
        "mobilenet_v2": ("stem", "block_0_depthwise"),
    }[family]
    assert checkpoint.layers[first].kernel.shape == (8, 3, 3, 3)
    np.testing.assert_array_equal(
        checkpoint.layers[first].kernel[5, 2], kernel_of(file, first)[5, :, :, 2]
    )
    np.testing.assert_array_equal(
        checkpoint.layers[depthwise].kernel[5, 0], kernel_of(file, depthwise)[0, :, :, 5]
    )
    np.testing.assert_array_equal(
        checkpoint.layers["classifier"].kernel.ravel(), kernel_of(file, "classifier").ravel()
    )
    assert checkpoint.layers["classifier"].kernel.shape == (CLASSES, 8, 1, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_quantised_weights_are_read_as_floats_and_as_integers(
    tmp_path: Path, family: Family
) -> None:
    file = network(family, quantized=True)
    checkpoint = tflite.read(save(tmp_path, file), family)
    assert checkpoint.quantization is not None
    assert checkpoint.quantization.layers.keys() == checkpoint.layers.keys()
    for name, layer in checkpoint.quantization.layers.items():
        weights = checkpoint.layers[name]
        assert [str(layer.kernel.dtype), str(layer.bias.dtype)] == ["int8", "int32"]
        assert layer.zero_points.tolist() == [120 - 128]
        real = (layer.kernel.astype(np.float64) - layer.zero_points[0]) * layer.scales[0]
        np.testing.assert_array_equal(weights.kernel, real.astype(np.float32))
    name, first = next(iter(checkpoint.quantization.layers.items()))
    stored = kernel_of(file, name).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(first.kernel.astype(np.int16) + 128, stored)
    np.testing.assert_allclose(checkpoint.layers[name].bias, first.bias * 0.25 / 128, rtol=1e-6)
    activations = checkpoint.quantization.activations
    assert activations["image"] == Affine(1 / 128, 128)
    assert activations["pool"] == activations["classifier"]
    assert ("block_2_add" in activations) == (family == "mobilenet_v2")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("linear", ["CONV_2D", "FULLY_CONNECTED"])
def test_todays_int8_is_read_with_a_scale_for_each_channel(
    tmp_path: Path, family: Family, linear: str
) -> None:
    file = network(family, quantized=True, linear=linear, pool="MEAN", signed=True)
    checkpoint = tflite.read(save(tmp_path, file), family)
    assert checkpoint.quantization is not None
    for name, layer in checkpoint.quantization.layers.items():
        weights, channels = checkpoint.layers[name], len(layer.bias)
        np.testing.assert_allclose(layer.scales, (np.arange(channels) + 1) / 64)
        assert layer.zero_points.tolist() == [0] * channels
        real = layer.kernel * layer.scales[:, None, None, None]
        np.testing.assert_array_equal(weights.kernel, real.astype(np.float32))
    name, first = next(iter(checkpoint.quantization.layers.items()))
    np.testing.assert_array_equal(first.kernel, kernel_of(file, name).transpose(0, 3, 1, 2))
    np.testing.assert_allclose(checkpoint.layers[name].bias, first.bias * first.scales / 128, 1e-6)
    # the same reals as the int8 activations, as if they were uint8
    assert checkpoint.quantization.activations["image"] == Affine(1 / 128, 128)
    assert checkpoint.quantization.activations[name].zero_point == 0


@pytest.mark.parametrize("quantized", [False, True])
def test_a_fully_connected_layer_without_a_bias_has_one_of_zeros(
    tmp_path: Path, quantized: bool
) -> None:
    """TensorFlow's converter leaves out what adds nothing."""
    file = network("mobilenet_v2", quantized, linear="FULLY_CONNECTED", signed=quantized)
    file.find("FULLY_CONNECTED").inputs[2] = -1
    layers = tflite.read(save(tmp_path, file), "mobilenet_v2").layers
    assert layers["classifier"].bias.tolist() == [0] * CLASSES


def test_a_pointwise_layer_may_be_called_valid_where_nothing_is_padded(tmp_path: Path) -> None:
    file = network("mobilenet_v2", quantized=False)
    options("CONV_2D", 1, Padding=schema.Padding.VALID)(file)
    assert tflite.read(save(tmp_path, file), "mobilenet_v2").layers


def test_a_network_in_two_files_is_the_one_in_one_file(tmp_path: Path) -> None:
    whole = network("mobilenet_v1", quantized=True)
    (tmp_path / "two").mkdir()
    in_one = tflite.read(save(tmp_path, whole), "mobilenet_v1")
    in_two = tflite.read(save(tmp_path / "two", *split(whole)), "mobilenet_v1")
    assert in_one.quantization is not None
    assert in_two.quantization is not None
    assert in_one.quantization.activations == in_two.quantization.activations
    for name, layer in in_one.layers.items():
        np.testing.assert_array_equal(layer.kernel, in_two.layers[name].kernel)


@pytest.mark.parametrize("affine", [(6 / 255, 1), (6 / 254, 0), None])
def test_two_files_that_do_not_meet_are_refused(
    tmp_path: Path, affine: tuple[float, int] | None
) -> None:
    first, second = split(network("mobilenet_v1", quantized=True))
    second = copy.deepcopy(second)
    second.tensors[second.inputs[0]].affine = affine
    with pytest.raises(CheckpointError, match=r"0\.tflite, 1\.tflite: the two files do not meet"):
        tflite.read(save(tmp_path, first, second), "mobilenet_v1")


def options(kind: str, nth: int = 0, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        operator = file.find(kind, nth)
        operator.options = {**(operator.options or {}), **changed}

    return change


def tensor(name: str, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        found = next(tensor for tensor in file.tensors if tensor.name == name)
        for field, value in changed.items():
            setattr(found, field, value)

    return change


def operator(kind: str, nth: int = 0, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        for field, value in changed.items():
            setattr(file.find(kind, nth), field, value)

    return change


def add_tensors(file: File) -> None:
    file.tensors += [FileTensor("more", (1,), "uint8")] * MAX_TENSORS


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
    "other operator": (operator("ADD", kind="MUL"), "has operator number 18"),
    "operator out of place": (operator("ADD", kind="SOFTMAX"), "block_2_add is a SOFTMAX, not ADD"),
    "another input": (operator("CONV_2D", 2, inputs=[0, 1, 2]), "block_1_expand is fed by another"),
    "no bias": (operator("CONV_2D", inputs=[0, 1]), "stem does not have a kernel and a bias"),
    "absent bias": (operator("CONV_2D", inputs=[0, 1, -1]), "stem does not have a kernel"),
    "no inputs": (operator("CONV_2D", inputs=[]), "does not have inputs and one output"),
    "two outputs": (operator("CONV_2D", outputs=[3, 3]), "does not have inputs and one output"),
    "thousands of inputs": (operator("CONV_2D", inputs=[0] * 2000), "2000 inputs or outputs"),
    "index too high": (operator("CONV_2D", inputs=[0, 1, 5000]), "index 5000 is not among its"),
    "index too low": (operator("CONV_2D", outputs=[-1]), "index -1 is not among its"),
    "two inputs": (lambda file: file.inputs.append(1), "one input and one output"),
    "output out of range": (lambda file: file.outputs.__setitem__(0, 999), "index 999"),
    "output elsewhere": (lambda file: file.outputs.__setitem__(0, 3), "a plain softmax"),
    "ends early": (lambda file: file.operators.pop(), "ends before probabilities"),
    "goes on": (lambda file: file.operators.append(file.operators[-1]), "a plain softmax"),
    "two subgraphs": (lambda file: setattr(file, "subgraphs", 2), "2 subgraphs, not one"),
    "too many tensors": (add_tensors, f"more than {MAX_TENSORS} and {MAX_OPERATORS}"),
    "long": (tensor("image", dtype="int64"), "neither float32, uint8, int8 nor int32"),
    "no scale": (tensor("stem", affine=None), "'stem' is not uint8 or int8 with one scale"),
    "not a number": (tensor("stem", affine=NOT_A_NUMBER), "a scale that is not a number above 0"),
    "negative scale": (tensor("stem", affine=(-1.0, 0)), "a scale that is not a number above 0"),
    "scales a channel": (tensor("stem/kernel", affine=([1.0] * 8, [0] * 8)), "with one scale"),
    "two scales": (tensor("stem", affine=([1.0] * 2, [0] * 2)), "'stem' has 2 scales for shape"),
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
def test_what_is_not_of_the_family_is_refused(tmp_path: Path, what: str) -> None:
    change, reason = WRONG[what]
    file = network("mobilenet_v2", quantized=True)
    change(file)
    with pytest.raises(CheckpointError, match=rf"0\.tflite: .*{reason}"):
        tflite.read(save(tmp_path, file), "mobilenet_v2")


def put_before(kind: str, dtype: str, affine: tuple[float, int] | None) -> Change:
    """Let another operator make the first tensor of one of another type."""

    def change(file: File) -> None:
        image = file.inputs[0]
        shape = file.tensors[image].shape
        file.inputs[0] = file.add("given", shape, dtype, None, affine)
        file.operators.insert(0, FileOperator(kind, [file.inputs[0]], [image]))

    return change


def put_behind(kind: str, dtype: str, source: str = "probabilities") -> Change:
    def change(file: File) -> None:
        [index] = [at for at, tensor in enumerate(file.tensors) if tensor.name == source]
        file.outputs = [file.add("answer", (1, CLASSES), dtype)]
        file.operators.append(FileOperator(kind, [index], file.outputs))

    return change


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
def test_what_todays_converter_does_not_write_is_refused(tmp_path: Path, what: str) -> None:
    change, reason = WRONG_SIGNED[what]
    file = network("mobilenet_v2", quantized=True, signed=True)
    change(file)
    with pytest.raises(CheckpointError, match=rf"0\.tflite: .*{reason}"):
        tflite.read(save(tmp_path, file), "mobilenet_v2")


@pytest.mark.parametrize(("kind", "dtype"), [("QUANTIZE", "uint8"), ("DEQUANTIZE", "float32")])
def test_an_int8_network_may_take_and_give_another_type(
    tmp_path: Path, kind: str, dtype: str
) -> None:
    file = network("mobilenet_v1", quantized=True, signed=True)
    put_before("QUANTIZE", "uint8", (1 / 128, 128))(file)
    put_behind(kind, dtype)(file)
    checkpoint = tflite.read(save(tmp_path, file), "mobilenet_v1")
    assert checkpoint.quantization is not None
    assert checkpoint.quantization.activations["image"] == Affine(1 / 128, 128)


def test_an_integer_kernel_among_floats_is_refused(tmp_path: Path) -> None:
    file = network("mobilenet_v1", quantized=False)
    tensor("Conv2d_0/bias", dtype="int32")(file)
    with pytest.raises(CheckpointError, match="'Conv2d_0/bias' is int32 in a float32 file"):
        tflite.read(save(tmp_path, file), "mobilenet_v1")


def test_a_file_of_the_other_family_is_refused(tmp_path: Path) -> None:
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
def test_another_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model\.tflite: {reason}"):
        tflite.read([path], "mobilenet_v1")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.tflite: No such file"):
        tflite.read([tmp_path / "model.tflite"], "mobilenet_v1")


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no file to read"):
        tflite.read([], "mobilenet_v1")


WHOLE = network("mobilenet_v2", quantized=True).encode()


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tflite") / "model.tflite"


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_off_anywhere_is_refused(scratch: Path, size: int) -> None:
    scratch.write_bytes(WHOLE[:size])
    with pytest.raises(CheckpointError):
        tflite.read([scratch], "mobilenet_v2")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_refused(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        layers = tflite.read([scratch], "mobilenet_v2").layers
    except CheckpointError:
        return
    assert sum(layer.kernel.nbytes for layer in layers.values()) < 10 * len(content)


@pytest.mark.parametrize(
    ("files", "family", "quantized", "alpha"),
    [
        (["mobilenet_v1_0.25_128.tflite"], "mobilenet_v1", False, 0.25),
        (["mobilenet_v1_0.25_224.tflite"], "mobilenet_v1", False, 0.25),
        (["mobilenet_v1_0.25_128_quant.tflite"], "mobilenet_v1", True, 0.25),
        (["mobilenet_v1_0.5_160_quant.tflite"], "mobilenet_v1", True, 0.5),
        (["mobilenet_v1_0.75_192_quant.tflite"], "mobilenet_v1", True, 0.75),
        (
            [
                "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
                "mobilenet_quant_v1_224_head_layers.tflite",
            ],
            "mobilenet_v1",
            True,
            1.0,
        ),
        (["mobilenet_v2_1.0_224_quant.tflite"], "mobilenet_v2", True, 1.0),
    ],
)
def test_the_published_files_are_read(
    shared_weights: Path, files: list[str], family: Family, quantized: bool, alpha: float
) -> None:
    checkpoint = tflite.read([shared_weights / name for name in files], family)
    v1 = family == "mobilenet_v1"
    defined = mobilenet_v1(alpha, classes=1001) if v1 else mobilenet_v2(alpha, classes=1001)
    weights = checkpoint.layers.values()
    read_params = sum(layer.kernel.size + layer.bias.size for layer in weights)
    assert read_params == network_cost(defined).stored_params
    assert (checkpoint.quantization is not None) == quantized
    if checkpoint.quantization:
        assert checkpoint.quantization.activations["image"] == Affine(1 / 128, 128)
        assert checkpoint.quantization.activations["pool"].zero_point == 0
