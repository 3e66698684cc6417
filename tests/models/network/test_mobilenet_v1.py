"""MobileNetV1 against the paper's tables and those of its authors' code."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import Cost, LayerRow
from models.network import resolution as resolutions
from models.network.cost import network_cost
from models.network.layers import Conv
from models.network.mobilenet_v1 import mobilenet_v1, width
from models.network.network import Network
from tests.models.published import Row, agrees, errata, half_unit, rows

KINDS = {
    "conv": "conv", "conv_dw": "depthwise", "conv_pw": "pointwise", "avg_pool": "global_pool",
    "fc": "linear", "conv_1x1": "pointwise", "conv_dw_3x3": "depthwise", "conv_3x3": "conv",
    "fully_connected": "linear",
}  # fmt: skip


def cost_of(row: Row, classes: int = 1000) -> Cost:
    return network_cost(mobilenet_v1(float(row["alpha"]), int(row["resolution"]), classes))


def named(row: Row) -> str:
    return f"{row['alpha']}_{row['resolution']}"


def layer_table() -> list[tuple[str, int, int, int, int, int]]:
    """Table 1 with its repeated pair written out and its misprint put right."""
    lines = []
    for number, row in enumerate(rows("v1_layer_table"), start=1):
        if erratum := errata().get(("v1_layer_table", str(number), "stride")):
            assert row["stride"] == erratum["printed"]
            row["stride"] = erratum["architecture"]
        columns = ("stride", "kernel", "c_in", "c_out", "input_hw")
        stride, kernel, c_in, c_out, side = (int(row[column]) for column in columns)
        lines.append((int(row["repeat"]), (KINDS[row["type"]], stride, kernel, c_in, c_out, side)))
    table: list[tuple[str, int, int, int, int, int]] = []
    while lines:
        repeat = lines[0][0]
        together = 2 if repeat > 1 else 1
        table += [line for _, line in lines[:together]] * repeat
        del lines[:together]
    return table


def seen(row: LayerRow) -> tuple[str, int, int, int, int, int]:
    # the paper's average pool has a window of 7; it is the whole map
    window = row.input_shape[1] if row.kind == "global_pool" else row.kernel[0]
    channels, side, _ = row.input_shape
    return row.kind, row.stride, window, channels, row.output_shape[0], side


def test_every_row_of_the_papers_layer_table_is_there_in_its_order() -> None:
    assert [seen(row) for row in network_cost(mobilenet_v1()).layers] == layer_table()


@pytest.mark.parametrize(("alpha", "resolution"), [(1.0, 224), (0.75, 128)])
def test_every_layer_costs_what_the_authors_print(alpha: float, resolution: int) -> None:
    cost = network_cost(mobilenet_v1(alpha, resolution))
    own = [row for row in cost.layers if row.kind in ("conv", "depthwise", "pointwise")]
    found = [(row.name, row.weights, row.madds) for row in own]
    found.append(("TOTAL", sum(row.weights for row in own), sum(row.madds for row in own)))
    columns = [f"{unit}_{alpha}_{resolution}" for unit in ("weights", "madds")]
    assert found == [
        (row["layer"], *(int(row[column]) for column in columns)) for row in rows("v1_layer_costs")
    ]


@pytest.mark.parametrize("row", rows("v1_shares"), ids=lambda row: row["type"])
def test_the_shares_of_each_kind_of_layer_are_the_papers(row: Row) -> None:
    layers = network_cost(mobilenet_v1()).layers
    kind = [layer for layer in layers if layer.kind == KINDS[row["type"]]]
    madds = 100 * sum(layer.madds for layer in kind) / sum(layer.madds for layer in layers)
    params = 100 * sum(layer.weights for layer in kind) / sum(layer.weights for layer in layers)
    for column, share in (("madds_pct", madds), ("params_pct", params)):
        assert agrees("v1_shares", row["type"], column, row[column], share, 0.005)


def one_layer(modification: str) -> Network:
    """3x3, 512 to 512 channels at 14x14, and what Table 3 does to it step by step."""
    channels = 384 if modification in ("alpha_0.75", "rho_0.714") else 512
    side = 10 if modification == "rho_0.714" else 14
    network = Network("other", None, (channels, side, side))
    if modification == "convolution":
        network.add("conv", Conv(channels, (3, 3)))
    else:
        network.add("depthwise", Conv(channels, (3, 3), groups=channels))
        network.add("pointwise", Conv(channels))
    return network


@pytest.mark.parametrize("row", rows("v1_one_layer"), ids=lambda row: row["modification"])
def test_one_layer_shrinks_as_the_paper_shows(row: Row) -> None:
    layers = network_cost(one_layer(row["modification"])).layers
    madds_m = sum(layer.madds for layer in layers) / 1e6
    weights_m = sum(layer.weights for layer in layers) / 1e6
    assert abs(madds_m - float(row["madds_M"])) <= half_unit(row["madds_M"])
    assert abs(weights_m - float(row["params_M"])) <= half_unit(row["params_M"])


@pytest.mark.parametrize("row", rows("v1_widths_and_resolutions"), ids=named)
def test_widths_and_resolutions_cost_what_the_paper_says(row: Row) -> None:
    cost = cost_of(row)
    assert abs(cost.madds / 1e6 - float(row["madds_M"])) <= 1
    assert round(cost.params / 1e6, 1) == float(row["params_M"])


@pytest.mark.parametrize("row", rows("v1_dogs"), ids=named)
def test_a_classifier_of_120_dogs_costs_what_the_paper_says(row: Row) -> None:
    cost = cost_of(row, classes=120)
    assert abs(cost.madds / 1e6 - float(row["madds_M"])) <= 1.3
    assert round(cost.params / 1e6, 1) == float(row["params_M"])


@pytest.mark.parametrize("row", rows("v1_against_standard"), ids=lambda row: row["model"])
def test_standard_convolutions_would_cost_what_the_paper_says(row: Row) -> None:
    if row["model"] == "conv_mobilenet":
        cost = network_cost(mobilenet_v1())
        madds, params = cost.standard_madds, cost.standard_params
    else:
        _, alpha, resolution = row["model"].split("_")
        cost = network_cost(mobilenet_v1(float(alpha), int(resolution)))
        madds, params = cost.madds, cost.params
    assert abs(madds / 1e6 - float(row["madds_M"])) <= 1.3
    # 1.32 is the one count that leaves batch norm out
    assert abs(params / 1e6 - float(row["params_M"])) <= max(half_unit(row["params_M"]), 0.012)


@pytest.mark.parametrize("row", rows("v1_checkpoints"), ids=named)
def test_the_released_checkpoints_cost_what_their_page_says(row: Row) -> None:
    cost = cost_of(row, classes=1001)
    madds_m = cost.madds / 1e6
    assert agrees("v1_checkpoints", named(row), "madds_M", row["madds_M"], madds_m, 1)
    batch_norm = sum(layer.batch_norm_params for layer in cost.layers)
    kept = cost.params + batch_norm // 2  # scale left out, and two moving averages
    assert round(kept / 1e6, 2) == float(row["params_M"])


@settings(deadline=None, max_examples=50)
@given(
    alpha=st.floats(0, 1, exclude_min=True),
    resolution=st.sampled_from(resolutions.RESOLUTIONS),
    classes=st.integers(1, 2000),
)
def test_any_width_and_resolution_is_a_network_of_the_right_shape(
    alpha: float, resolution: int, classes: int
) -> None:
    network = mobilenet_v1(alpha, resolution, classes)
    side = resolution // 32
    assert network.shape_of("Conv2d_13_pointwise") == (width(1024, alpha), side, side)
    assert network.shape_of("classifier") == (classes, 1, 1)


@settings(deadline=None)
@given(
    channels=st.sampled_from((32, 64, 128, 256, 512, 1024)),
    alphas=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(sorted),
)
def test_widths_grow_with_alpha_and_are_never_below_8(channels: int, alphas: list[float]) -> None:
    narrow, wide = (width(channels, alpha) for alpha in alphas)
    assert 8 <= narrow <= wide <= channels
    assert narrow == 8 or narrow <= channels * alphas[0] < narrow + 1


def test_the_widths_at_035_are_those_of_slim() -> None:
    found = [width(channels, 0.35) for channels in (32, 64, 128, 256, 512, 1024)]
    assert found == [11, 22, 44, 89, 179, 358]


@pytest.mark.parametrize("alpha", [0.0, -0.5, inf, nan])
def test_a_width_that_makes_no_network_is_rejected(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"Alpha is {alpha:g}; .*greater than 0 and finite"):
        mobilenet_v1(alpha)


@pytest.mark.parametrize("resolution", [0, 64, 97, 225, 544, -224])
def test_a_resolution_that_five_halvings_do_not_fit_is_rejected(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"Resolution is {resolution}; .*32 from 96 to 512"):
        mobilenet_v1(resolution=resolution)
