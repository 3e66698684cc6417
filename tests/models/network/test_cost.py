"""What networks cost: parameters, file sizes, memory, and what standard convolutions would take."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import Cost, Family, Precision
from models.network.cost import (
    BufferUse,
    cost_at,
    network_cost,
    peak_bytes,
    stored_params,
    weight_file_bytes,
)
from models.network.layers import Activation, Add, Conv, GlobalPool, Linear
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from models.network.network import INPUT, Network
from models.network.resolution import RESOLUTIONS
from models.zoo.zoo import zoo
from tests.models.published import Row, agrees, errata, half_unit, rows


def define(row: Row, classes: int = 1000) -> Network:
    family = mobilenet_v2 if "v2" in (row.get("family") or row["model"]) else mobilenet_v1
    return family(float(row["alpha"]), int(row.get("resolution", "224")), classes)


def kept(cost: Cost, per_batch_norm_channel: int) -> int:
    """Parameters where a file keeps that many values a batch-norm channel."""
    channels = sum(row.batch_norm_params for row in cost.layers) // 2
    plain = sum(row.weights + row.biases for row in cost.layers)
    return plain + per_batch_norm_channel * channels


@pytest.mark.parametrize("row", rows("parameter_counts"), ids=lambda row: "_".join(row.values()))
def test_parameters_are_counted_as_torchvision_and_keras_count_them(row: Row) -> None:
    cost = network_cost(define(row))
    assert kept(cost, int(row["values_per_batch_norm_channel"])) == int(row["params"])
    assert kept(cost, 2) == cost.params
    assert kept(cost, 1) == cost.stored_params


@pytest.mark.parametrize(
    "row", rows("keras_params"), ids=lambda row: f"{row['model']}{row['alpha']}"
)
def test_parameters_with_and_without_the_top_are_those_of_keras(row: Row) -> None:
    cost = network_cost(define(row))
    top = cost.layers[-1].weights + cost.layers[-1].biases
    assert round(kept(cost, 4) / 1e6, 1) == float(row["params_M"])
    assert round((kept(cost, 4) - top) / 1e6, 1) == float(row["no_top_params_M"])


@pytest.mark.parametrize("row", rows("timm_costs"), ids=lambda row: "_".join(row.values()))
def test_activations_and_operations_are_those_that_timm_measured(row: Row) -> None:
    cost = network_cost(define(row))
    activations = sum(layer.activation_bytes for layer in cost.layers if layer.weights) // 4
    assert round(cost.params / 1e6, 2) == float(row["params_M"])
    assert round(activations / 1e6, 2) == float(row["activations_M"])
    assert round((cost.madds + 2 * activations) / 1e9, 2) == float(row["gmacs"])


@pytest.mark.parametrize(
    "row", rows("tflite_file_sizes"), ids=lambda row: "_".join(list(row.values())[:3])
)
def test_published_tflite_files_have_the_predicted_size(row: Row) -> None:
    network = define(row, classes=1001)
    name = f"{row['family']}_{row['alpha']}_{row['resolution']}"
    stored = network_cost(network).stored_params
    assert weight_file_bytes(network) == 4 * stored
    cell = row["float_MB"]
    within = 0.01 * float(cell) + half_unit(cell)
    assert agrees("tflite_file_sizes", name, "float_MB", cell, 4 * stored / 1e6, within)
    cell = row["quantised_MB"]
    found = weight_file_bytes(network, "int8") / 1e6
    if ("tflite_file_sizes", name, "quantised_MB") in errata():
        found = stored / 1e6
    within = 0.01 * float(cell) + half_unit(cell)
    assert agrees("tflite_file_sizes", name, "quantised_MB", cell, found, within)


@pytest.mark.parametrize("row", rows("torchvision_file_sizes"), ids=lambda row: row["weights"])
def test_torchvisions_files_have_the_predicted_size(row: Row) -> None:
    network = mobilenet_v2()
    unfolded, cell = 4 * kept(network_cost(network), 4), row["file_MiB"]
    found = unfolded if row["precision"] == "fp32" else weight_file_bytes(network, "int8")
    within = 0.01 * float(cell) + half_unit(cell)
    assert agrees("torchvision_file_sizes", row["weights"], "file_MiB", cell, found / 2**20, within)


def widest(cost: Cost, side: int, *, between_blocks: bool) -> int:
    """Most channels of a layer's output at one size; the outputs of blocks only, if asked so."""
    return max(
        row.output_shape[0]
        for row in cost.layers
        if row.output_shape[1] == side
        and row.kind != "linear"
        and (not between_blocks or row.name.endswith("_project") or row.kind == "global_pool")
    )


@pytest.mark.parametrize("row", rows("v2_peak_activations"), ids=lambda row: row["hw"])
def test_activations_at_each_size_are_those_of_the_v2_paper(row: Row) -> None:
    side = int(row["hw"])
    v1, v2 = network_cost(mobilenet_v1()), network_cost(mobilenet_v2())
    for column, channels in (
        ("v1", widest(v1, side, between_blocks=False)),
        ("v2", widest(v2, side, between_blocks=True)),
    ):
        size_kb = channels * side * side * 2 / 1e3  # the paper's activations have 16 bits
        printed_channels, printed_kb = row[f"{column}_channels"], row[f"{column}_kB"]
        # printed with two digits that matter
        within = 10.0 ** (len(str(int(size_kb))) - 2) if size_kb >= 10 else 1.0
        table = "v2_peak_activations"
        assert agrees(table, row["hw"], f"{column}_channels", printed_channels, channels, 0)
        assert agrees(table, row["hw"], f"{column}_kB", printed_kb, size_kb, within)


@pytest.mark.parametrize(("precision", "element_bytes"), [("fp32", 4), ("int8", 1)])
def test_peak_memory_holds_the_widest_pair_of_neighbours(
    precision: Precision, element_bytes: int
) -> None:
    v1 = network_cost(mobilenet_v1(), precision)
    assert v1.peak_activation_bytes == (32 + 64) * 112 * 112 * element_bytes
    v2 = network_cost(mobilenet_v2(), precision)
    expanded_and_filtered = 96 * (112 * 112 + 56 * 56)
    assert v2.peak_activation_bytes == expanded_and_filtered * element_bytes


def test_a_residual_is_held_until_it_is_added() -> None:
    network = Network("other", None, (1, 10, 10))
    entry = network.add("entry", Conv(2))
    network.add("wide", Conv(8))
    narrow = network.add("narrow", Conv(2))
    network.add("sum", Add(), narrow, entry)
    # entry, wide and narrow at once; the sum is written over narrow
    assert network_cost(network).peak_activation_bytes == (2 + 8 + 2) * 100 * 4


def test_an_activation_works_in_place() -> None:
    network = Network("other", None, (4, 10, 10))
    network.add("conv", Conv(4))
    plain = network_cost(network).peak_activation_bytes
    network.add("relu", Activation("relu"))
    assert network_cost(network).peak_activation_bytes == plain


Plan = tuple[list[BufferUse], dict[str, int]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Steps that read what is there and fill new stores or old ones."""
    held = {INPUT: draw(st.integers(1, 50))}
    names, uses = [INPUT], []
    for at in range(draw(st.integers(1, 8))):
        reads = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        writes = draw(st.sampled_from([f"s{at}", reads[0]]))
        names.append(writes)
        uses.append(BufferUse(tuple(reads), writes, draw(st.integers(1, 50))))
    return uses, held


def simulated_peak(plan: Plan) -> int:
    """Ask of every store at every step whether it is full and still needed."""
    uses, held = plan
    peak = sum(held.values())
    stores = {INPUT, *(use.writes for use in uses)}
    for now in range(len(uses)):
        peak = max(peak, sum(size_at(name, now, plan) for name in stores))
    return peak


def size_at(name: str, now: int, plan: Plan) -> int:
    uses, held = plan
    writes = [at for at, use in enumerate(uses) if use.writes == name]
    reads = [at for at, use in enumerate(uses) if name in use.reads]
    filled_at = -1 if name in held else writes[0]
    kept_to_the_end = not reads or reads[-1] in writes
    if now < filled_at or (not kept_to_the_end and now > reads[-1]):
        return 0
    return max([held.get(name, 0), *(uses[at].size_bytes for at in writes if at <= now)])


@settings(deadline=None)
@given(plan=plans())
def test_peak_memory_is_that_of_a_step_by_step_simulation(plan: Plan) -> None:
    assert peak_bytes(*plan) == simulated_peak(plan)


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_standard_convolutions_cost_what_each_pair_adds_up_to(family: Family) -> None:
    network = mobilenet_v1() if family == "mobilenet_v1" else mobilenet_v2()
    cost = network_cost(network)
    madds = params = 0
    rows = list(cost.layers)
    for at, row in enumerate(rows):
        if row.kind == "depthwise":
            pointwise = rows[at + 1]
            channels, height, width = pointwise.output_shape
            weights = 9 * row.input_shape[0] * channels
            madds += weights * height * width - row.madds - pointwise.madds
            params += weights - row.weights - row.batch_norm_params - pointwise.weights
    assert cost.standard_madds == cost.madds + madds
    assert cost.standard_params == cost.params + params


def test_a_depthwise_layer_without_a_following_pointwise_one_is_unchanged() -> None:
    network = Network("other", None, (8, 16, 16))
    network.add("depthwise", Conv(8, (3, 3), groups=8))
    network.add("pool", GlobalPool())
    network.add("classifier", Linear(10))
    cost = network_cost(network)
    assert cost.standard_madds == cost.madds == 8 * 9 * 256 + 80
    assert cost.standard_params == cost.params


def test_a_pointwise_layer_in_another_branch_is_not_joined_to_a_depthwise_one() -> None:
    network = Network("other", None, (8, 16, 16))
    network.add("depthwise", Conv(8, (3, 3), groups=8), INPUT)
    network.add("pointwise", Conv(8), INPUT)
    network.add("sum", Add(), "depthwise", "pointwise")
    cost = network_cost(network)
    assert cost.standard_madds == cost.madds


def test_the_classifier_is_also_counted_on_its_own() -> None:
    assert network_cost(mobilenet_v1()).classifier_madds == 1024 * 1000
    assert network_cost(mobilenet_v2(0.35)).classifier_madds == 1280 * 1000


def test_folded_batch_norm_is_one_bias_a_channel() -> None:
    row = network_cost(mobilenet_v1()).layers[0]
    assert (row.weights, row.biases, row.batch_norm_params) == (864, 0, 64)
    assert stored_params(row) == 864 + 32


def test_every_erratum_is_a_cell_that_a_table_prints() -> None:
    for (table, _, column), erratum in errata().items():
        assert erratum["printed"] in [row[column] for row in rows(table)]
        assert erratum["why"]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(zoo())), st.sampled_from(list(RESOLUTIONS)))
def test_a_card_costs_at_any_resolution_what_its_definition_says(name: str, side: int) -> None:
    entry = zoo()[name]
    card = entry.recipe.card(entry.precision)
    defined = replace(entry.recipe, resolution=side).cost(entry.precision)
    assert cost_at(card, side) == defined


def test_pooled_features_and_logits_of_our_int8_models_are_in_float() -> None:
    ours, publishers = (
        zoo()[name].recipe.card("int8").cost.layers
        for name in ("mobilenet_v2_1.0_224_ptq", "mobilenet_v2_1.0_224_int8")
    )
    # the last map of 7x7, 1280 pooled features, and 1001 or 1000 classes
    assert [row.activation_bytes for row in publishers[-3:]] == [1280 * 49, 1280, 1001]
    assert [row.activation_bytes for row in ours[-3:]] == [1280 * 49, 4 * 1280, 4 * 1000]
