"""Cost at another resolution: what the definition says, from the card alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import Family, ModelCard, Precision
from app.card.cost_at import scaled_cost, scaled_layers
from app.errors import BadQuery
from models.network import resolution as resolutions
from models.network.cost import network_cost
from models.zoo.zoo import zoo
from tests.exports import random_recipe

SIDES = st.sampled_from(list(resolutions.RESOLUTIONS))


def card_of(family: Family, alpha: float, side: int, precision: Precision = "fp32") -> ModelCard:
    return random_recipe(family, alpha, side).card(precision)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["mobilenet_v1", "mobilenet_v2"]),
    st.floats(0.1, 1.0),
    SIDES,
    SIDES,
    st.sampled_from(["fp32", "int8"]),
)
def test_any_width_costs_at_any_resolution_what_its_definition_says(
    family: Family, alpha: float, side: int, other: int, precision: Precision
) -> None:
    found = scaled_cost(card_of(family, alpha, side, precision), other)
    said = network_cost(random_recipe(family, alpha, other).network(), precision)
    assert found.madds == said.madds
    assert found.peak_activation_bytes == said.peak_activation_bytes
    assert found.activation_bytes == sum(row.activation_bytes for row in said.layers)
    assert tuple(scaled_layers(card_of(family, alpha, side, precision), other)) == said.layers


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", list(zoo()))
def test_every_model_of_the_zoo_has_a_cost_at_every_resolution(name: str) -> None:
    entry = zoo()[name]
    card = entry.recipe.card(entry.precision)
    for side in resolutions.RESOLUTIONS:
        said = network_cost(replace(entry.recipe, resolution=side).network(), entry.precision)
        assert scaled_cost(card, side).madds == said.madds


def test_at_its_own_resolution_a_model_costs_what_its_card_says() -> None:
    card = card_of("mobilenet_v2", 1.0, 224)
    found = scaled_cost(card, 224)
    assert (found.madds, found.peak_activation_bytes) == (
        card.cost.madds,
        card.cost.peak_activation_bytes,
    )


def test_a_resolution_that_the_graph_does_not_take_is_refused() -> None:
    with pytest.raises(BadQuery, match="supports 96 to 512 in steps of 32, not 100"):
        scaled_cost(card_of("mobilenet_v1", 0.25, 128), 100)


def test_a_network_whose_maps_do_not_halve_evenly_is_refused() -> None:
    card = card_of("mobilenet_v1", 0.25, 128)
    first, *rest = card.cost.layers
    shrunk = first.model_copy(update={"output_shape": (first.output_shape[0], 62, 62)})
    cost = card.cost.model_copy(update={"layers": (shrunk, *rest)})
    with pytest.raises(BadQuery, match="does not follow from its layers"):
        scaled_cost(card.model_copy(update={"cost": cost}), 160)
