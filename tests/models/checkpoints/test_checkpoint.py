from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from models.checkpoints.checkpoint import (
    CheckpointError,
    LayerWeights,
    check_layers,
    fold_batch_norm,
    template,
)

Vector = NDArray[np.float32]
CHANNELS = 3


def vectors(low: float, high: float) -> st.SearchStrategy[Vector]:
    return arrays.arrays(np.float32, CHANNELS, elements=st.floats(low, high, width=32))


@settings(deadline=None)
@given(
    kernel=arrays.arrays(np.float32, (CHANNELS, 4, 1, 1), elements=st.floats(-4, 4, width=32)),
    pixel=arrays.arrays(np.float32, 4, elements=st.floats(-1, 1, width=32)),
    gamma=vectors(-2, 2),
    beta=vectors(-2, 2),
    mean=vectors(-2, 2),
    variance=vectors(0, 4),
    bias=st.none() | vectors(-2, 2),
)
def test_a_folded_convolution_gives_what_convolution_and_batch_norm_give(
    kernel: NDArray[np.float32],
    pixel: Vector,
    gamma: Vector,
    beta: Vector,
    mean: Vector,
    variance: Vector,
    bias: Vector | None,
) -> None:
    convolved = kernel[:, :, 0, 0].astype(float) @ pixel + (0 if bias is None else bias)
    expected = (convolved - mean) / np.sqrt(variance.astype(float) + 1e-3) * gamma + beta
    folded = fold_batch_norm(kernel, gamma, beta, mean, variance, 1e-3, bias)
    assert folded.kernel.dtype == folded.bias.dtype == np.float32
    given_ = folded.kernel[:, :, 0, 0].astype(float) @ pixel + folded.bias
    # |scale| is at most 2 / sqrt(1e-3) = 63, sums are below 20: float32 keeps 1e-3 of that
    np.testing.assert_allclose(given_, expected, atol=1e-3, rtol=1e-4)


def narrow_layers() -> dict[str, LayerWeights]:
    """A MobileNetV1 with 2 channels everywhere."""
    layers = {}
    for node in template("mobilenet_v1").nodes:
        if node.layer.kind == "global_pool":
            continue
        entering = {"conv": 3, "depthwise": 1}.get(node.layer.kind, 2)
        kernel = np.ones((2, entering, *node.layer.kernel), np.float32)
        layers[node.name] = LayerWeights(kernel, np.zeros(2, np.float32))
    return layers


def test_layers_of_any_width_that_feed_each_other_pass() -> None:
    check_layers(narrow_layers(), template("mobilenet_v1"))


def test_a_missing_layer_is_named() -> None:
    layers = narrow_layers()
    del layers["Conv2d_7_depthwise"]
    with pytest.raises(CheckpointError, match="no weights for Conv2d_7_depthwise"):
        check_layers(layers, template("mobilenet_v1"))


def test_a_surplus_layer_is_named() -> None:
    layers = narrow_layers() | {"head": narrow_layers()["classifier"]}
    with pytest.raises(CheckpointError, match="weights for head, which the network does not have"):
        check_layers(layers, template("mobilenet_v1"))


def test_a_layer_that_its_source_does_not_fit_is_named() -> None:
    layers = narrow_layers()
    kernel = np.ones((2, 3, 1, 1), np.float32)
    layers["Conv2d_3_pointwise"] = replace(layers["Conv2d_3_pointwise"], kernel=kernel)
    with pytest.raises(CheckpointError, match=r"Conv2d_3_pointwise has a kernel \(2, 3, 1, 1\)"):
        check_layers(layers, template("mobilenet_v1"))


def test_a_residual_sum_of_different_widths_is_named() -> None:
    layers, channels = {}, 3
    for node in template("mobilenet_v2").nodes:
        if node.layer.kind in {"add", "global_pool"}:
            continue
        depthwise = node.layer.kind == "depthwise"
        out = channels if depthwise else channels + 1
        shape = (out, 1 if depthwise else channels, *node.layer.kernel)
        layers[node.name] = LayerWeights(np.ones(shape, np.float32), np.zeros(out, np.float32))
        channels = out
    with pytest.raises(CheckpointError, match=r"block_2_add cannot add \[9, 7\] channels"):
        check_layers(layers, template("mobilenet_v2"))


def test_a_family_without_a_reader_is_rejected() -> None:
    with pytest.raises(CheckpointError, match="Unknown family 'other'"):
        template("other")
