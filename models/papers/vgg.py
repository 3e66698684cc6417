"""VGG-16 (Simonyan and Zisserman 2014, arXiv 1409.1556), Table 1, column D."""

from models.network.layers import Conv, Linear, Pool
from models.network.network import Network

# channels, convolutions before each pooling
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(classes: int = 1000) -> Network:
    """Thirteen convolutions of 3 x 3 and three linear layers on 224 x 224 pixels."""
    network = Network("other", None, (3, 224, 224))
    for stage, (channels, repeats) in enumerate(STAGES, start=1):
        for repeat in range(1, repeats + 1):
            layer = Conv(channels, (3, 3), bias=True, batch_norm=False, activation="relu")
            network.add(f"conv{stage}_{repeat}", layer)
        network.add(f"pool{stage}", Pool("max", (2, 2), 2))
    for index, features in enumerate((4096, 4096, classes), start=6):
        network.add(f"fc{index}", Linear(features))
    return network
