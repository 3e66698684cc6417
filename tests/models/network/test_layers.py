"""The layer algebra against textbook figures and against counting by hand."""

from itertools import product
from math import ceil

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.network.layers import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    LayerError,
    Linear,
    Padding,
    Parameters,
    Pool,
    Shape,
    output_size,
    pads,
)

PADDINGS: tuple[Padding, ...] = ("same", "symmetric", "valid")


def test_a_standard_convolution_costs_what_the_textbook_says() -> None:
    layer = Conv(5, (3, 3), padding="valid", batch_norm=False)
    assert layer.output_shape((3, 6, 6)) == (5, 4, 4)
    assert layer.madds((3, 6, 6)) == 2160


def test_a_depthwise_separable_convolution_costs_what_the_textbook_says() -> None:
    image = (3, 6, 6)
    depthwise, pointwise = Conv(3, (3, 3), groups=3, padding="valid"), Conv(5)
    between = depthwise.output_shape(image)
    assert (depthwise.kind, pointwise.kind) == ("depthwise", "pointwise")
    assert (depthwise.madds(image), pointwise.madds(between)) == (432, 240)
    ratio = (432 + 240) / Conv(5, (3, 3), padding="valid").madds(image)
    assert ratio == pytest.approx(1 / 5 + 1 / 9, rel=1e-15)
    assert round(ratio, 2) == 0.31


def test_the_first_layer_of_alexnet_has_its_shape_and_weights() -> None:
    layer = Conv(96, (11, 11), stride=4, padding="valid", bias=True, batch_norm=False)
    image = (3, 227, 227)
    assert layer.output_shape(image) == (96, 55, 55)
    assert layer.parameters(image) == Parameters(weights=11 * 11 * 3 * 96, biases=96)
    assert layer.madds(image) == 11 * 11 * 3 * 96 * 55 * 55


@pytest.mark.parametrize(
    ("layer", "inputs", "kind", "output"),
    [
        pytest.param(Linear(10), [(4, 3, 3)], "linear", (10, 1, 1), id="linear"),
        pytest.param(Pool("max", (3, 3), 2), [(8, 7, 7)], "max_pool", (8, 3, 3), id="max pool"),
        pytest.param(Pool("avg", (7, 7), 1), [(8, 7, 7)], "avg_pool", (8, 1, 1), id="mean pool"),
        pytest.param(GlobalPool(), [(8, 5, 6)], "global_pool", (8, 1, 1), id="global pool"),
        pytest.param(Add(), [(8, 5, 6)] * 2, "add", (8, 5, 6), id="add"),
        pytest.param(Concat(), [(8, 5, 6), (2, 5, 6)], "concat", (10, 5, 6), id="concat"),
        pytest.param(Activation("relu"), [(8, 5, 6)], "activation", (8, 5, 6), id="activation"),
        pytest.param(Conv(6, groups=2), [(4, 5, 6)], "pointwise", (6, 5, 6), id="grouped"),
    ],
)
def test_every_kind_of_layer_knows_its_output(
    layer: Layer, inputs: list[Shape], kind: str, output: Shape
) -> None:
    assert layer.kind == kind
    assert layer.output_shape(*inputs) == output


@pytest.mark.parametrize(
    "layer",
    [Pool("max", (3, 3), 2), GlobalPool(), Add(), Concat(), Activation("relu6")],
    ids=lambda layer: layer.kind,
)
def test_layers_without_weights_are_free(layer: Layer) -> None:
    assert layer.parameters((8, 7, 7)) == Parameters()
    assert layer.madds((8, 7, 7)) == 0
    assert layer.groups == 1


def test_a_linear_layer_uses_every_weight_once() -> None:
    assert Linear(10).parameters((4, 3, 3)) == Parameters(weights=360, biases=10)
    assert Linear(10, bias=False).parameters((4, 3, 3)) == Parameters(weights=360)
    assert Linear(10).madds((4, 3, 3)) == 360
    assert (Linear(10).kernel, Linear(10).stride, Linear(10).groups) == ((1, 1), 1, 1)


def test_a_convolution_counts_bias_and_batch_norm_apart() -> None:
    assert Conv(8, (3, 3), bias=True).parameters((4, 9, 9)) == Parameters(288, 8, 16)
    assert Conv(8, (3, 3), batch_norm=False).parameters((4, 9, 9)) == Parameters(288)


@pytest.mark.parametrize(
    ("layer", "inputs", "text"),
    [
        pytest.param(Conv(8, groups=3), [(4, 5, 5)], "3 groups", id="channels do not split"),
        pytest.param(Conv(8, groups=4), [(6, 5, 5)], "4 groups", id="input does not split"),
        pytest.param(Conv(8, (7, 7), padding="valid"), [(4, 5, 5)], "of 7", id="window too big"),
        pytest.param(Pool("avg", (7, 7), 1), [(4, 5, 5)], "of 7", id="pool too big"),
        pytest.param(Add(), [(4, 5, 5), (8, 5, 5)], "differ", id="sum of different shapes"),
        pytest.param(Concat(), [(4, 5, 5), (4, 6, 5)], "different size", id="different maps"),
    ],
)
def test_a_shape_that_does_not_fit_is_rejected(
    layer: Layer, inputs: list[Shape], text: str
) -> None:
    with pytest.raises(LayerError, match=text):
        layer.output_shape(*inputs)


@pytest.mark.parametrize("size", [96, 112, 128, 224])
def test_tensorflow_pads_even_sizes_after_and_pytorch_on_both_sides(size: int) -> None:
    assert pads(size, 3, 2, "same") == (0, 1)
    assert pads(size, 3, 2, "symmetric") == (1, 1)
    assert pads(size + 1, 3, 2, "same") == (1, 1)
    assert output_size(size, 3, 2, "same") == output_size(size, 3, 2, "symmetric") == size // 2


@settings(deadline=None)
@given(size=st.integers(1, 300), kernel=st.integers(1, 12), stride=st.integers(1, 12))
def test_same_padding_gives_a_window_for_every_started_stride(
    size: int, kernel: int, stride: int
) -> None:
    before, after = pads(size, kernel, stride, "same")
    assert 0 <= after - before <= 1
    assert output_size(size, kernel, stride, "same") == ceil(size / stride)


@settings(deadline=None)
@given(
    size=st.integers(1, 60),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 9),
    padding=st.sampled_from(PADDINGS),
)
def test_windows_are_the_positions_that_a_window_can_take(
    size: int, kernel: int, stride: int, padding: Padding
) -> None:
    before, after = pads(size, kernel, stride, padding)
    starts = [at for at in range(-before, size + after, stride) if at + kernel <= size + after]
    if starts:
        assert output_size(size, kernel, stride, padding) == len(starts)
    else:
        with pytest.raises(LayerError):
            output_size(size, kernel, stride, padding)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from(PADDINGS),
)
def test_multiply_adds_are_those_that_loops_make(
    height: int,
    width: int,
    kernel: tuple[int, int],
    stride: int,
    groups: int,
    channels: tuple[int, int],
    padding: Padding,
) -> None:
    per_group_in, per_group_out = channels
    layer = Conv(per_group_out * groups, kernel, stride, groups, padding)
    assume(padding != "valid" or (kernel[0] <= height and kernel[1] <= width))
    top, bottom = pads(height, kernel[0], stride, padding)
    left, right = pads(width, kernel[1], stride, padding)
    assume(height + top + bottom >= kernel[0])
    assume(width + left + right >= kernel[1])
    rows = range(0, height + top + bottom - kernel[0] + 1, stride)
    columns = range(0, width + left + right - kernel[1] + 1, stride)
    loops = product(
        range(groups),
        range(per_group_out),
        range(per_group_in),
        rows,
        columns,
        range(kernel[0]),
        range(kernel[1]),
    )
    assert layer.madds((per_group_in * groups, height, width)) == sum(1 for _ in loops)
