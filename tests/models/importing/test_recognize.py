"""The family and its width, found again from nothing but the shapes of the layers."""

import pytest

from app.card.card import Family
from models.importing.recognize import DESIGNS, PUBLISHED, recognise
from models.network.cost import network_cost
from models.network.design import Design, define


@pytest.mark.parametrize("alpha", PUBLISHED)
@pytest.mark.parametrize(("family", "design"), DESIGNS)
def test_every_published_width_is_found_whatever_the_classes(
    family: Family, design: Design, alpha: float
) -> None:
    network = define(family, alpha, 224, classes=7, design=design)
    assert recognise(network_cost(network).layers) == (family, alpha)


def test_a_network_that_differs_in_one_layer_is_another() -> None:
    layers = list(network_cost(define("mobilenet_v2", 1.0)).layers)
    assert recognise(layers) == ("mobilenet_v2", 1.0)
    layers[3] = layers[3].model_copy(update={"stride": 3})
    assert recognise(layers) == ("other", None)
    assert recognise([]) == ("other", None)
