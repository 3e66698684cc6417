"""The two variants that the V1 paper compares MobileNet with (arXiv 1704.04861, Tables 4 and 5)."""

from models.network.cost import standard_network
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.network import Network

OMITTED_BLOCKS = range(7, 12)  # the five layers of 14 x 14 x 512


def conv_mobilenet(classes: int = 1000) -> Network:
    """MobileNetV1 with a standard convolution for each depthwise separable one."""
    return standard_network(mobilenet_v1(classes=classes))


def shallow_mobilenet(classes: int = 1000) -> Network:
    """MobileNetV1 without its five equal layers."""
    full = mobilenet_v1(classes=classes)
    names = {
        f"Conv2d_{index}_{part}" for index in OMITTED_BLOCKS for part in ("depthwise", "pointwise")
    }
    network = Network(full.family, full.alpha, full.input_shape)
    for node in full.nodes:
        if node.name not in names:
            network.add(node.name, node.layer)
    return network
