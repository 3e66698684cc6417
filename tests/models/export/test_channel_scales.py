"""A publisher's integers get a scale for each channel; what fits keeps its integers."""

import numpy as np

from models.checkpoints.checkpoint import Affine, Quantization, QuantizedLayer
from models.export.channel_scales import with_channel_scales


def layer(kernel: list[list[int]], zero_point: int, scale: float = 0.5) -> QuantizedLayer:
    values = np.array(kernel, np.int8)
    return QuantizedLayer(
        kernel=values.reshape(*values.shape, 1, 1),
        scales=np.array([scale], np.float32),
        zero_points=np.array([zero_point], np.int8),
        bias=np.arange(1000, 1000 + len(kernel), dtype=np.int32),
    )


def converted(found: QuantizedLayer) -> QuantizedLayer:
    quantization = Quantization({"one": found}, {"image": Affine(1 / 128, 128)})
    made = with_channel_scales(quantization)
    assert made.activations == quantization.activations
    return made.layers["one"]


def test_a_channel_that_fits_keeps_its_integers_scale_and_bias() -> None:
    found = converted(layer([[10, -117], [127, 20]], zero_point=10))
    assert found.kernel[:, :, 0, 0].tolist() == [[0, -127], [117, 10]]
    assert found.scales.tolist() == [0.5, 0.5]
    assert found.zero_points.tolist() == [0, 0]
    assert found.bias.tolist() == [1000, 1001]


def test_a_channel_that_does_not_fit_is_rounded_to_a_wider_step_and_its_bias_with_it() -> None:
    found = converted(layer([[-128, 126, -1], [0, 1, 2]], zero_point=126))
    # the first channel is -254, 0, -127 in steps of 1, which is -127, 0, -63.5 in steps of 2
    assert found.kernel[:, :, 0, 0].tolist() == [[-127, 0, -64], [-126, -125, -124]]
    assert found.scales.tolist() == [1.0, 0.5]
    assert found.bias.tolist() == [500, 1001]
    assert found.kernel.dtype == np.int8
    assert found.bias.dtype == np.int32
    assert found.scales.dtype == np.float32


def test_a_kernel_with_scales_for_its_channels_stays_unchanged() -> None:
    given = QuantizedLayer(
        kernel=np.array([[127], [-127]], np.int8).reshape(2, 1, 1, 1),
        scales=np.array([0.25, 0.5], np.float32),
        zero_points=np.zeros(2, np.int8),
        bias=np.array([3, -7], np.int32),
    )
    found = converted(given)
    assert found.kernel.tolist() == given.kernel.tolist()
    assert found.scales.tolist() == [0.25, 0.5]
    assert found.bias.tolist() == [3, -7]
