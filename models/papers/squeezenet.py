"""SqueezeNet 1.0 (Iandola et al. 2016, arXiv 1602.07360), Table 1.

The paper says 224 pixels, but its first layer has 111 x 111 outputs, which needs 227.
"""

from models.network.layers import Concat, Conv, GlobalPool, Padding, Pool
from models.network.network import Network

# channels: squeezed, expanded (1x1 and 3x3 each); None is a pooling
FIRES = (
    (16, 64), (16, 64), (32, 128), None,
    (32, 128), (48, 192), (48, 192), (64, 256), None,
    (64, 256),
)  # fmt: skip


def squeezenet(classes: int = 1000) -> Network:
    """Eight fire modules on 227 x 227 pixels; the last pooling is over class scores."""
    network = Network("other", None, (3, 227, 227))
    network.add("conv1", _conv(96, 7, stride=2))
    network.add("pool1", Pool("max", (3, 3), 2))
    index = 2
    for channels in FIRES:
        if channels is None:
            network.add(f"pool{index - 1}", Pool("max", (3, 3), 2))
            continue
        squeezed, expanded = channels
        entry = network.add(f"fire{index}_squeeze", _conv(squeezed))
        plain = network.add(f"fire{index}_expand_1x1", _conv(expanded), entry)
        wide = network.add(f"fire{index}_expand_3x3", _conv(expanded, 3), entry)
        network.add(f"fire{index}", Concat(), plain, wide)
        index += 1
    network.add("conv10", _conv(classes))
    network.add("pool", GlobalPool())
    return network


def _conv(channels: int, side: int = 1, stride: int = 1) -> Conv:
    padding: Padding = "valid" if stride > 1 else "same"
    return Conv(
        channels, (side, side), stride, padding=padding,
        bias=True, batch_norm=False, activation="relu",
    )  # fmt: skip
