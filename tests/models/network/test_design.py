"""Networks that differ from the papers in more than width and resolution."""

import pytest
from pydantic import ValidationError

from app.card.card import Family
from models.network.cost import network_cost
from models.network.design import PAPER_DESIGN, Design, define
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2, stage_repeats
from models.network.network import Network
from tests.models.published import Row, rows


def network_of(row: Row) -> Network:
    family: Family = "mobilenet_v1" if row["family"] == "v1" else "mobilenet_v2"
    design = Design(
        depth=float(row["depth"]), fixed_ends=row["fixed_ends"] == "yes", head=row["head"] == "yes"
    )
    return define(family, float(row["alpha"]), int(row["resolution"]), design=design)


@pytest.mark.parametrize("row", rows("timm_params"), ids=lambda row: row["model"])
def test_parameters_are_those_that_timm_itself_counts(row: Row) -> None:
    assert network_cost(network_of(row)).params == int(row["params"])


@pytest.mark.parametrize("row", rows("timm_design_costs"), ids=lambda row: "_".join(row.values()))
def test_activations_and_operations_are_those_that_timm_measured(row: Row) -> None:
    """timm counts 2 operations more for each output of a convolution: its batch norm."""
    [shape] = [design for design in rows("timm_params") if design["model"] == row["model"]]
    cost = network_cost(network_of(shape | {"resolution": row["resolution"]}))
    activations = sum(layer.activation_bytes for layer in cost.layers if layer.weights) // 4
    assert round(activations / 1e6, 2) == float(row["activations_M"])
    assert round((cost.madds + 2 * activations) / 1e9, 2) == float(row["gmacs"])


def test_the_papers_designs_are_the_papers_networks() -> None:
    assert define("mobilenet_v1", 0.5, 160).nodes == mobilenet_v1(0.5, 160).nodes
    wanted = mobilenet_v2(1.4, 224, padding="symmetric")
    assert (
        define("mobilenet_v2", 1.4, 224, padding="symmetric", design=PAPER_DESIGN).nodes
        == wanted.nodes
    )
    narrow = mobilenet_v2(expansion=3, padding="same")
    assert define("mobilenet_v2", design=Design(expansion=3)).nodes == narrow.nodes


def test_depth_rounds_up_and_leaves_fixed_ends_alone() -> None:
    assert stage_repeats() == [1, 2, 3, 4, 3, 3, 1]
    assert stage_repeats(1.4) == [2, 3, 5, 6, 5, 5, 2]
    assert stage_repeats(1.4, fixed_ends=True) == [1, 3, 5, 6, 5, 5, 1]


@pytest.mark.parametrize(
    ("family", "design", "text"),
    [
        ("mobilenet_v1", Design(depth=1.2), "mobilenet_v1 has head"),
        ("mobilenet_v1", Design(expansion=3), "mobilenet_v1 has head"),
        ("mobilenet_v1", Design(fixed_ends=True), "mobilenet_v1 has head"),
        ("mobilenet_v2", Design(head=True), "Head applies to mobilenet_v1 only"),
        ("other", PAPER_DESIGN, "Unknown family 'other'"),
    ],
)
def test_what_a_family_does_not_have_is_rejected(family: Family, design: Design, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        define(family, design=design)


@pytest.mark.parametrize("depth", [0, -1, float("inf"), float("nan")])
def test_a_depth_that_makes_no_network_is_rejected(depth: float) -> None:
    with pytest.raises(ValidationError):
        Design(depth=depth)
    with pytest.raises(ValueError, match=r"Depth is .*greater than 0 and finite"):
        mobilenet_v2(depth=depth)
