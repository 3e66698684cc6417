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
    found = recognise(network_cost(network).layers)
    assert found is not None
    assert (found.family, found.alpha) == (family, alpha)
    assert found.cost(224, "fp32") == network_cost(network)


def test_a_network_that_differs_in_one_layer_is_another() -> None:
    layers = list(network_cost(define("mobilenet_v2", 1.0)).layers)
    found = recognise(layers)
    assert found is not None
    assert (found.family, found.alpha) == ("mobilenet_v2", 1.0)
    layers[3] = layers[3].model_copy(update={"stride": 3})
    assert recognise(layers) is None
    assert recognise([]) is None


def test_dense_layers_of_a_head_are_no_part_of_the_family() -> None:
    layers = list(network_cost(define("mobilenet_v2", 0.35, 96, classes=100)).layers)
    more = layers[-1].model_copy(update={"input_shape": (100, 1, 1), "output_shape": (3, 1, 1)})
    found = recognise([*layers, more])
    assert found is not None
    assert (found.family, found.alpha, len(found.heads)) == ("mobilenet_v2", 0.35, 2)
    assert found.cost(96, "int8") is None
    convolution = more.model_copy(update={"kind": "conv", "output_shape": (3, 7, 7)})
    assert recognise([*layers, convolution]) is None
