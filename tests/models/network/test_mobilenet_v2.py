"""MobileNetV2 against the paper's table, its released checkpoints and the rounding rule."""

from itertools import pairwise
from math import floor, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import LayerRow
from models.network import resolution as resolutions
from models.network.cost import network_cost
from models.network.layers import Conv
from models.network.mobilenet_v2 import STAGES, make_divisible, mobilenet_v2
from tests.models.published import Row, rows


def blocks(alpha: float = 1.0, resolution: int = 224, expansion: int = 6) -> list[list[LayerRow]]:
    """The layers of each inverted residual."""
    found: dict[str, list[LayerRow]] = {}
    for row in network_cost(mobilenet_v2(alpha, resolution, expansion=expansion)).layers:
        if row.name.startswith("block_"):
            found.setdefault(row.name.rsplit("_", 1)[0], []).append(row)
    return list(found.values())


def test_the_blocks_are_those_of_the_papers_table() -> None:
    found = iter(blocks())
    for row in rows("v2_stages"):
        if row["operator"] != "bottleneck":
            continue
        side, _, channels = map(int, row["input"].split("x"))
        t, c, n, s = (int(row[column]) for column in "tcns")
        for stride in [s] + [1] * (n - 1):
            layers = next(found)
            *expand, depthwise, project = [layer for layer in layers if layer.kind != "add"]
            assert layers[0].input_shape == (channels, side, side)
            assert depthwise.input_shape[0] == t * channels
            assert (depthwise.kernel, depthwise.stride) == ((3, 3), stride)
            assert [layer.kind for layer in expand] == (["pointwise"] if t > 1 else [])
            side //= stride
            assert project.output_shape == (c, side, side)
            assert (layers[-1].kind == "add") == (stride == 1 and channels == c)
            channels = c
    assert next(found, None) is None


def test_stem_and_head_are_those_of_the_papers_table() -> None:
    stem, *_, head, pool, classifier = network_cost(mobilenet_v2()).layers
    assert (stem.output_shape, stem.kernel, stem.stride) == ((32, 112, 112), (3, 3), 2)
    assert (head.input_shape, head.output_shape) == ((320, 7, 7), (1280, 7, 7))
    assert (pool.output_shape, classifier.output_shape) == ((1280, 1, 1), (1000, 1, 1))


def test_only_projections_are_linear() -> None:
    for node in mobilenet_v2().nodes:
        if isinstance(node.layer, Conv):
            linear = node.name.endswith("_project")
            assert node.layer.activation == (None if linear else "relu6")


@pytest.mark.parametrize("row", rows("v2_checkpoints"), ids=lambda row: "_".join(row.values()))
def test_the_released_checkpoints_cost_what_their_page_says(row: Row) -> None:
    cost = network_cost(mobilenet_v2(float(row["alpha"]), int(row["resolution"]), 1001))
    weights_and_biases = sum(layer.weights + layer.biases for layer in cost.layers)
    assert floor(cost.madds / 1e6) == int(row["madds_M"])
    assert round(weights_and_biases / 1e6, 2) == float(row["params_M"])


@pytest.mark.parametrize("row", rows("v2_channels"), ids=lambda row: row["alpha"])
def test_every_width_has_the_channels_of_the_released_checkpoints(row: Row) -> None:
    alpha = float(row["alpha"])
    network = mobilenet_v2(alpha)
    found = [network.shape_of("stem")[0]]
    found += [make_divisible(channels * alpha) for _, channels, _, _ in STAGES]
    found.append(network.shape_of("head")[0])
    assert found == [int(row[name]) for name in row if name != "alpha"]
    last_of_stage = [0, 2, 5, 9, 12, 15, 16]
    assert [network.shape_of(f"block_{at}_project")[0] for at in last_of_stage] == found[1:-1]


@pytest.mark.parametrize("row", rows("rounding"), ids=lambda row: row["v"])
def test_channels_round_as_in_the_golden_cases(row: Row) -> None:
    assert make_divisible(float(row["v"])) == int(row["result"])


@settings(deadline=None)
@given(channels=st.floats(0.001, 5000))
def test_rounded_channels_are_a_close_multiple_of_8(channels: float) -> None:
    rounded = make_divisible(channels)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * channels
    assert rounded - channels < 8
    nearest = max(8, floor(channels / 8 + 0.5) * 8)
    assert rounded == nearest or (nearest < 0.9 * channels and rounded == nearest + 8)


@settings(deadline=None)
@given(alphas=st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)).map(sorted))
def test_channels_grow_with_alpha(alphas: list[float]) -> None:
    for _, channels, _, _ in STAGES:
        narrow, wide = (make_divisible(channels * alpha) for alpha in alphas)
        assert narrow <= wide


@settings(deadline=None, max_examples=30)
@given(
    alpha=st.floats(0.05, 2),
    resolution=st.sampled_from(resolutions.RESOLUTIONS),
    expansion=st.integers(2, 8),
)
def test_a_block_costs_what_section_3_3_of_the_paper_says(
    alpha: float, resolution: int, expansion: int
) -> None:
    for layers in blocks(alpha, resolution, expansion)[1:]:
        expand, depthwise, project = layers[:3]
        width, height, side = expand.input_shape[0], expand.input_shape[1], expand.input_shape[2]
        found = sum(layer.madds for layer in layers)
        if depthwise.stride == 1:
            formula = height * side * width * expansion * (width + 9 + project.output_shape[0])
        else:
            small = project.output_shape[1] * project.output_shape[2]
            formula = height * side * width * expansion * width
            formula += small * width * expansion * (9 + project.output_shape[0])
        assert found == formula


@settings(deadline=None, max_examples=50)
@given(
    alpha=st.floats(0, 4, exclude_min=True),
    resolution=st.sampled_from(resolutions.RESOLUTIONS),
    classes=st.integers(1, 2000),
    expansion=st.integers(1, 10),
)
def test_any_width_resolution_and_expansion_is_a_network_of_the_right_shape(
    alpha: float, resolution: int, classes: int, expansion: int
) -> None:
    network = mobilenet_v2(alpha, resolution, classes, expansion)
    channels, height, width = network.shape_of("head")
    assert height == width == resolution // 32
    assert channels == (1280 if alpha <= 1 else make_divisible(1280 * alpha))
    assert network.shape_of("classifier") == (classes, 1, 1)


def test_an_expansion_of_1_leaves_nothing_to_expand() -> None:
    names = [node.name for node in mobilenet_v2(expansion=1).nodes]
    assert not [name for name in names if name.endswith("_expand")]


def test_expansion_widens_only_the_inside_of_blocks() -> None:
    for narrow, wide in zip(blocks(expansion=3), blocks(expansion=6), strict=True):
        assert narrow[0].input_shape == wide[0].input_shape
        assert narrow[-1].output_shape == wide[-1].output_shape


def test_a_larger_resolution_costs_in_proportion_to_its_area() -> None:
    for small, large in pairwise(resolutions.RESOLUTIONS):
        few, many = (network_cost(mobilenet_v2(0.5, side)) for side in (small, large))
        body = [cost.madds - cost.classifier_madds for cost in (few, many)]
        assert body[0] * large**2 == body[1] * small**2


@pytest.mark.parametrize("alpha", [0.0, -1.0, inf, nan])
def test_a_width_that_is_no_number_above_0_is_rejected(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"Alpha is {alpha:g}; .*greater than 0"):
        mobilenet_v2(alpha)


def test_a_resolution_outside_the_family_is_rejected() -> None:
    with pytest.raises(ValueError, match="Resolution is 100"):
        mobilenet_v2(resolution=100)


def test_an_expansion_below_1_is_rejected() -> None:
    with pytest.raises(ValueError, match="Expansion is 0"):
        mobilenet_v2(expansion=0)
