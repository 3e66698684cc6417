"""AlexNet (Krizhevsky et al. 2012, section 3.5), with two groups.

The paper says 224 pixels, but its first layer has 55 x 55 outputs, which needs 227.
"""

from models.network.layers import Conv, Linear, LocalResponseNorm, Padding, Pool
from models.network.network import Network

# channels, kernel, stride, groups, padding, normalised, pooled
LAYERS: tuple[tuple[int, int, int, int, Padding, bool, bool], ...] = (
    (96, 11, 4, 1, "valid", True, True),
    (256, 5, 1, 2, "same", True, True),
    (384, 3, 1, 1, "same", False, False),
    (384, 3, 1, 2, "same", False, False),
    (256, 3, 1, 2, "same", False, True),
)


def alexnet(classes: int = 1000) -> Network:
    """Five convolutions and three linear layers on 227 x 227 pixels."""
    network = Network("other", None, (3, 227, 227))
    for index, (channels, side, stride, groups, padding, norm, pool) in enumerate(LAYERS, start=1):
        layer = Conv(
            channels, (side, side), stride, groups, padding,
            bias=True, batch_norm=False, activation="relu",
        )  # fmt: skip
        network.add(f"conv{index}", layer)
        if norm:
            network.add(f"norm{index}", LocalResponseNorm())
        if pool:
            network.add(f"pool{index}", Pool("max", (3, 3), 2))
    for index, features in enumerate((4096, 4096, classes), start=6):
        network.add(f"fc{index}", Linear(features))
    return network
