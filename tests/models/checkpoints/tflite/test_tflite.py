"""Weights out of `.tflite` files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite as schema

from app.card.card import Family
from models.checkpoints.checkpoint import Affine
from models.checkpoints.tflite import tflite
from models.network.cost import network_cost
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from tests.models.checkpoints.tflite.tflite_changes import (
    options,
    put_before,
    put_behind,
    save,
    tensor,
)
from tests.models.checkpoints.tflite.tflite_files import (
    CLASSES,
    File,
    network,
    split,
)

FAMILIES: list[Family] = ["mobilenet_v1", "mobilenet_v2"]


def kernel_of(file: File, name: str) -> Any:
    return next(tensor.values for tensor in file.tensors if tensor.name == f"{name}/kernel")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("linear", ["CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize("pool", ["AVERAGE_POOL_2D", "MEAN"])
def test_float_weights_are_read_unchanged(
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
    published_weights: Path, files: list[str], family: Family, quantized: bool, alpha: float
) -> None:
    checkpoint = tflite.read([published_weights / name for name in files], family)
    v1 = family == "mobilenet_v1"
    defined = mobilenet_v1(alpha, classes=1001) if v1 else mobilenet_v2(alpha, classes=1001)
    weights = checkpoint.layers.values()
    read_params = sum(layer.kernel.size + layer.bias.size for layer in weights)
    assert read_params == network_cost(defined).stored_params
    assert (checkpoint.quantization is not None) == quantized
    if checkpoint.quantization:
        assert checkpoint.quantization.activations["image"] == Affine(1 / 128, 128)
        assert checkpoint.quantization.activations["pool"].zero_point == 0


@pytest.mark.parametrize("scales", [1, 8])
def test_kernels_of_dynamic_range_quantisation_are_floats_again(
    tmp_path: Path, scales: int
) -> None:
    file = network("mobilenet_v1", quantized=False)
    steps = [(at + 1) / 64 for at in range(scales)]
    stored = np.random.default_rng(0).integers(-127, 128, (1, 3, 3, 8), np.int8)
    tensor(
        "Conv2d_1_depthwise/kernel", dtype="int8", values=stored, affine=(steps, [0] * scales),
        axis=3,
    )(file)  # fmt: skip
    layers = tflite.read(save(tmp_path, file), "mobilenet_v1").layers
    real = (stored * np.array(steps)).transpose(3, 0, 1, 2)
    np.testing.assert_array_equal(layers["Conv2d_1_depthwise"].kernel, real)
