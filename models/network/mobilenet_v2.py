"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), Table 2: inverted residuals.

A block widens its input t times (1x1, ReLU6), filters it depthwise (3x3, ReLU6) and projects it
back to few channels (1x1, linear: section 3.2). The input is added where stride is 1 and the
channels match. A block with t = 1 starts at its depthwise layer.
"""

from math import ceil, inf

from models.network.layers import Add, Conv, Padding
from models.network.network import Network
from models.network.resolution import check_alpha, check_resolution

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280

# t: expansion, c: channels, n: repeats, s: stride of the first
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor`, at least `divisor` and 90 % of `channels`.

    The rule of slim, also used by torchvision, Keras and timm.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def stage_repeats(depth: float = 1.0, fixed_ends: bool = False) -> list[int]:
    """Number of blocks of each stage: n times `depth`, rounded up (timm's `decode_arch_def`).

    `fixed_ends` keeps the first and the last stage at the n of the table.

    Raises:
        ValueError: depth is 0 or below, infinite or not a number.
    """
    if not 0 < depth < inf:
        raise ValueError(f"Depth is {depth:g}; it must be greater than 0 and finite.")
    repeats = [ceil(n * depth) for _, _, n, _ in STAGES]
    if fixed_ends:
        repeats[0], repeats[-1] = STAGES[0][2], STAGES[-1][2]
    return repeats


def stem_channels(alpha: float, fixed_ends: bool = False) -> int:
    """Channels of the first convolution."""
    return make_divisible(STEM_CHANNELS * (1.0 if fixed_ends else alpha))


def mobilenet_v2(
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    expansion: int = 6,
    padding: Padding = "symmetric",
    depth: float = 1.0,
    fixed_ends: bool = False,
) -> Network:
    """MobileNetV2 at width `alpha` > 0 for square images of `resolution` pixels.

    The last convolution keeps 1280 channels for alpha below 1 (section 4: narrower only up to the
    last layer). `expansion`, `depth` and `fixed_ends` are those of `models.network.design.Design`.

    Raises:
        ValueError: alpha, resolution, expansion or depth is out of range.
    """
    check_alpha(alpha)
    check_resolution(resolution)
    if expansion < 1:
        raise ValueError(f"Expansion is {expansion}; it must be at least 1.")
    network = Network("mobilenet_v2", alpha, (3, resolution, resolution))
    channels = stem_channels(alpha, fixed_ends)
    network.add("stem", Conv(channels, (3, 3), stride=2, padding=padding))
    index = 0
    for (t, base_channels, _, first_stride), repeats in zip(
        STAGES, stage_repeats(depth, fixed_ends), strict=True
    ):
        for repeat in range(repeats):
            channels = _add_block(
                network,
                f"block_{index}",
                channels,
                make_divisible(base_channels * alpha),
                1 if t == 1 else expansion,
                first_stride if repeat == 0 else 1,
                padding,
            )
            index += 1
    head_alpha = 1.0 if fixed_ends else max(1.0, alpha)
    network.add("head", Conv(make_divisible(HEAD_CHANNELS * head_alpha), padding=padding))
    return network.add_classifier(classes)


def _add_block(
    network: Network,
    name: str,
    in_channels: int,
    out_channels: int,
    expansion: int,
    stride: int,
    padding: Padding,
) -> int:
    """Append one inverted residual; return its channels."""
    entry = network.last
    hidden = in_channels * expansion
    if expansion > 1:
        network.add(f"{name}_expand", Conv(hidden, padding=padding))
    network.add(
        f"{name}_depthwise", Conv(hidden, (3, 3), stride=stride, groups=hidden, padding=padding)
    )
    projected = network.add(f"{name}_project", Conv(out_channels, padding=padding, activation=None))
    if stride == 1 and in_channels == out_channels:
        network.add(f"{name}_add", Add(), projected, entry)
    return out_channels
