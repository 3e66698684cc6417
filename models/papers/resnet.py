"""ResNet-50 (He et al. 2015, arXiv 1512.03385), Table 1: the first 1x1 of a stage has stride 2.

torchvision moves that stride to the following 3x3, which costs 6 % more.
"""

from models.network.layers import Activation, Add, Conv, GlobalPool, Linear, Pool
from models.network.network import Network

# channels inside a block, blocks, stride of the first
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EXPANSION = 4


def resnet50(classes: int = 1000) -> Network:
    """Sixteen bottleneck blocks on 224 x 224 pixels."""
    network = Network("other", None, (3, 224, 224))
    network.add("stem", Conv(64, (7, 7), 2, padding="symmetric", activation="relu"))
    network.add("pool1", Pool("max", (3, 3), 2, "symmetric"))
    for stage, (channels, blocks, first_stride) in enumerate(STAGES, start=2):
        for block in range(blocks):
            _add_block(network, f"{stage}_{block}", channels, first_stride if block == 0 else 1)
    network.add("pool", GlobalPool())
    network.add("classifier", Linear(classes))
    return network


def _add_block(network: Network, name: str, channels: int, stride: int) -> None:
    entry, out = network.last, channels * EXPANSION
    shortcut = entry
    network.add(f"{name}_reduce", Conv(channels, stride=stride, activation="relu"), entry)
    network.add(f"{name}_3x3", Conv(channels, (3, 3), activation="relu"))
    expanded = network.add(f"{name}_expand", Conv(out, activation=None))
    if network.shape_of(entry) != network.shape_of(expanded):
        shortcut = network.add(f"{name}_project", Conv(out, stride=stride, activation=None), entry)
    network.add(f"{name}_add", Add(), expanded, shortcut)
    network.add(f"{name}_relu", Activation("relu"))
