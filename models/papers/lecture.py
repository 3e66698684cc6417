"""The inception module of Stanford's CS231n (lecture on architectures), on 28 x 28 x 256."""

from models.network.layers import Concat, Conv, Pool
from models.network.network import INPUT, Network

SHAPE = (256, 28, 28)


def naive_module() -> Network:
    """Three parallel convolutions and a pooling."""
    network = Network("other", None, SHAPE)
    branches = [
        network.add("1x1", _conv(128), INPUT),
        network.add("3x3", _conv(192, 3), INPUT),
        network.add("5x5", _conv(96, 5), INPUT),
        network.add("pool", Pool("max", (3, 3), 1, "same"), INPUT),
    ]
    network.add("out", Concat(), *branches)
    return network


def bottleneck_module() -> Network:
    """The module with 64 channels before the 3x3 and 5x5 convolutions and after the pooling."""
    network = Network("other", None, SHAPE)
    branches = [network.add("1x1", _conv(128), INPUT)]
    network.add("narrow 3x3", _conv(64), INPUT)
    branches.append(network.add("3x3", _conv(192, 3)))
    network.add("narrow 5x5", _conv(64), INPUT)
    branches.append(network.add("5x5", _conv(96, 5)))
    network.add("pool", Pool("max", (3, 3), 1, "same"), INPUT)
    branches.append(network.add("narrow pool", _conv(64)))
    network.add("out", Concat(), *branches)
    return network


def _conv(channels: int, side: int = 1) -> Conv:
    return Conv(channels, (side, side), batch_norm=False)
