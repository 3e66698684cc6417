"""MobileNetV1 (Howard et al. 2017, arXiv 1704.04861), Table 1.

The table prints stride 2 for the last depthwise layer. Its sizes (7x7 in, 7x7 out) and the
authors' code say 1, which is used here.
"""

from models.network.layers import Conv, Padding
from models.network.network import Network
from models.network.resolution import check_alpha, check_resolution

STEM_CHANNELS = 32
HEAD_CHANNELS = 1024

# channels, stride of each depthwise separable convolution
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def width(channels: int, alpha: float) -> int:
    """Channels after the width multiplier: truncated, never below 8 (slim's `depth`).

    Keras truncates too and timm rounds to multiples of 8. At the published widths (0.25, 0.5,
    0.75, 1.0 and 1.25) all three agree.
    """
    return max(int(channels * alpha), 8)


def stem_channels(alpha: float) -> int:
    """Channels of the first convolution."""
    return width(STEM_CHANNELS, alpha)


def mobilenet_v1(
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    padding: Padding = "same",
    head: bool = False,
) -> Network:
    """MobileNetV1 at width `alpha` > 0 for square images of `resolution` pixels.

    `head` adds a pointwise convolution before the pooling (timm's `mobilenetv1_100h`). It has at
    least 1024 channels, whatever the width.

    Raises:
        ValueError: alpha or resolution is out of range.
    """
    check_alpha(alpha)
    check_resolution(resolution)
    network = Network("mobilenet_v1", alpha, (3, resolution, resolution))
    channels = stem_channels(alpha)
    network.add("Conv2d_0", Conv(channels, (3, 3), stride=2, padding=padding))
    for index, (base_channels, stride) in enumerate(BLOCKS, start=1):
        network.add(
            f"Conv2d_{index}_depthwise",
            Conv(channels, (3, 3), stride=stride, groups=channels, padding=padding),
        )
        channels = width(base_channels, alpha)
        network.add(f"Conv2d_{index}_pointwise", Conv(channels, padding=padding))
    if head:
        network.add("head", Conv(max(HEAD_CHANNELS, width(HEAD_CHANNELS, alpha)), padding=padding))
    return network.add_classifier(classes)
