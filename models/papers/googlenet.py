"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842), Table 1, without its auxiliary classifiers."""

from models.network.layers import Concat, Conv, GlobalPool, Linear, LocalResponseNorm, Pool
from models.network.network import Network

# name; channels: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, pool projected
MODULES = (
    ("3a", 64, 96, 128, 16, 32, 32),
    ("3b", 128, 128, 192, 32, 96, 64),
    ("4a", 192, 96, 208, 16, 48, 64),
    ("4b", 160, 112, 224, 24, 64, 64),
    ("4c", 128, 128, 256, 24, 64, 64),
    ("4d", 112, 144, 288, 32, 64, 64),
    ("4e", 256, 160, 320, 32, 128, 128),
    ("5a", 256, 160, 320, 32, 128, 128),
    ("5b", 384, 192, 384, 48, 128, 128),
)
POOLED_AFTER = {"3b", "4e"}


def googlenet(classes: int = 1000) -> Network:
    """Nine inception modules on 224 x 224 pixels."""
    network = Network("other", None, (3, 224, 224))
    network.add("conv1", _conv(64, 7, stride=2))
    network.add("pool1", _halve())
    network.add("norm1", LocalResponseNorm())
    network.add("conv2_reduce", _conv(64))
    network.add("conv2", _conv(192, 3))
    network.add("norm2", LocalResponseNorm())
    network.add("pool2", _halve())
    for name, *channels in MODULES:
        _add_module(network, name, channels)
        if name in POOLED_AFTER:
            network.add(f"pool_{name}", _halve())
    network.add("pool", GlobalPool())
    network.add("classifier", Linear(classes))
    return network


def _add_module(network: Network, name: str, channels: list[int]) -> None:
    plain, reduced_3, out_3, reduced_5, out_5, projected = channels
    entry = network.last
    branches = [network.add(f"{name}_1x1", _conv(plain), entry)]
    network.add(f"{name}_3x3_reduce", _conv(reduced_3), entry)
    branches.append(network.add(f"{name}_3x3", _conv(out_3, 3)))
    network.add(f"{name}_5x5_reduce", _conv(reduced_5), entry)
    branches.append(network.add(f"{name}_5x5", _conv(out_5, 5)))
    network.add(f"{name}_pool", Pool("max", (3, 3), 1, "same"), entry)
    branches.append(network.add(f"{name}_pool_project", _conv(projected)))
    network.add(f"{name}_concat", Concat(), *branches)


def _conv(channels: int, side: int = 1, stride: int = 1) -> Conv:
    return Conv(channels, (side, side), stride, bias=True, batch_norm=False, activation="relu")


def _halve() -> Pool:
    return Pool("max", (3, 3), 2, "same")
