"""Other authors' networks, against figures that their frameworks count."""

import pytest

from models.network.cost import network_cost
from models.network.layers import Conv, Linear, LocalResponseNorm
from models.network.network import Network
from models.papers.comparison import activation_bytes
from models.papers.references import REFERENCES, alexnet, conv_mobilenet, shallow_mobilenet

# torchvision's num_params (GoogLeNet: of BVLC's Caffe model; Inception-V3: less its auxiliary
# classifier's 3,326,696), and what leaves the last layer before the classes
COUNTED = {
    "VGG-16": (138_357_544, "pool5", (512, 7, 7)),
    "GoogLeNet": (6_998_552, "5b_concat", (1024, 7, 7)),
    "ResNet-50": (25_557_032, "5_2_relu", (2048, 7, 7)),
    "SqueezeNet 1.0": (1_248_424, "conv10", (1000, 13, 13)),
    "Inception-V3": (27_161_264 - 3_326_696, "7c_concat", (2048, 8, 8)),
    "AlexNet": (60_965_224, "pool5", (256, 6, 6)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_parameters_and_the_last_map_are_those_of_the_authors(name: str) -> None:
    params, layer, shape = COUNTED[name]
    network = REFERENCES[name](1000)
    assert network_cost(network).params == params
    assert network.shape_of(layer) == shape


@pytest.mark.parametrize("name", REFERENCES)
def test_the_number_of_classes_changes_the_last_layer_only(name: str) -> None:
    many, few = (network_cost(REFERENCES[name](classes)).layers for classes in (1000, 10))
    weighted = [[row for row in rows if row.weights] for rows in (many, few)]
    assert [row.weights for row in weighted[0][:-1]] == [row.weights for row in weighted[1][:-1]]
    assert weighted[1][-1].weights * 100 == weighted[0][-1].weights


def test_alexnet_in_one_group_needs_more() -> None:
    """The split over two processors halves the second, fourth and fifth convolution."""
    split = network_cost(alexnet())
    joined = Network("other", None, (3, 227, 227))
    for node in alexnet().nodes:
        layer = node.layer
        if isinstance(layer, Conv) and layer.groups == 2:
            layer = Conv(layer.out_channels, layer.kernel, bias=True, batch_norm=False)
        joined.add(node.name, layer)
    halved = [row.madds for row in split.layers if row.groups == 2]
    assert len(halved) == 3
    assert network_cost(joined).madds - split.madds == sum(halved)


def test_alexnets_first_layer_is_55_wide_and_normalised_in_its_own_shape() -> None:
    network = alexnet()
    assert network.shape_of("conv1") == network.shape_of("norm1") == (96, 55, 55)
    first = network_cost(network).layers[0]
    assert (first.weights, first.biases) == (11 * 11 * 3 * 96, 96)
    norm = LocalResponseNorm()
    assert norm.madds((96, 55, 55)) == 0
    assert norm.parameters((96, 55, 55)).weights == 0


def test_the_shallow_network_lacks_five_equal_layers() -> None:
    whole, shallow = network_cost(conv_mobilenet()), network_cost(shallow_mobilenet())
    assert shallow.madds < whole.madds
    assert network_cost(shallow_mobilenet()).classifier_madds == 1_024_000
    assert shallow_mobilenet().shape_of("Conv2d_12_pointwise") == (1024, 7, 7)


def test_all_activations_are_the_input_and_every_output() -> None:
    network = Network("other", None, (3, 8, 8))
    network.add("conv", Conv(4, (3, 3), stride=2))
    network.add("classes", Linear(10))
    assert activation_bytes(network, 2) == 2 * (3 * 64 + 4 * 16 + 10)
