"""Networks as graphs: wiring, names, shapes; and GoogLeNet's inception module as an example."""

import pytest

from models.network.cost import network_cost
from models.network.layers import Add, Conv, LayerError
from models.network.network import INPUT, Network
from models.papers.references import inception_module
from tests.models.published import Row, agrees, rows

MODULES = {
    "naive": inception_module(bottlenecks=False),
    "bottlenecks": inception_module(bottlenecks=True),
}


@pytest.mark.parametrize("row", rows("inception"), ids=lambda row: row["module"])
def test_an_inception_module_costs_what_the_lecture_says(row: Row) -> None:
    madds_m = network_cost(MODULES[row["module"]]).madds / 1e6
    assert agrees("inception", row["module"], "madds_M", row["madds_M"], madds_m, 0.5)


def test_an_inception_module_puts_its_branches_side_by_side() -> None:
    assert inception_module(bottlenecks=False).shape_of("module_concat") == (672, 28, 28)
    assert inception_module(bottlenecks=True).shape_of("module_concat") == (480, 28, 28)


def test_the_lectures_358_million_count_one_convolution_twice() -> None:
    cost = network_cost(inception_module(bottlenecks=True))
    [twice] = [row.madds for row in cost.layers if row.name == "module_1_1_0"]
    assert cost.madds == 28 * 28 * (256 * (128 + 64 + 64 + 64) + 64 * (9 * 192 + 25 * 96))
    assert round((cost.madds + twice) / 1e6) == 358


def test_a_layer_is_fed_by_the_one_before_unless_it_names_others() -> None:
    network = Network("other", None, (3, 8, 8))
    assert network.last == INPUT
    network.add("a", Conv(4))
    network.add("b", Conv(4))
    network.add("sum", Add(), "b", "a")
    assert [node.inputs for node in network.nodes] == [(INPUT,), ("a",), ("b", "a")]
    assert [step.output_shape for step in network.steps()] == [(4, 8, 8)] * 3
    assert network.shape_of(INPUT) == (3, 8, 8)


@pytest.mark.parametrize("name", [INPUT, "a"])
def test_a_name_that_exists_already_is_rejected(name: str) -> None:
    network = Network("other", None, (3, 8, 8))
    network.add("a", Conv(4))
    with pytest.raises(LayerError, match=f"Layer '{name}' exists already"):
        network.add(name, Conv(4))


def test_a_layer_cannot_be_fed_by_one_that_is_not_there_yet() -> None:
    network = Network("other", None, (3, 8, 8))
    with pytest.raises(LayerError, match="reads 'later'"):
        network.add("a", Conv(4), "later")


def test_the_shape_of_an_unknown_layer_is_an_error_that_names_it() -> None:
    with pytest.raises(LayerError, match="Unknown layer 'nowhere'"):
        inception_module(bottlenecks=False).shape_of("nowhere")
