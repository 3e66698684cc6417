"""Networks that the MobileNet papers compare with, defined for their cost only.

AlexNet and SqueezeNet 1.0: the papers say 224 pixels, but their first layers have 55 x 55 and
111 x 111 outputs, which needs 227.
"""

from collections.abc import Callable, Sequence
from functools import partial

from models.network.cost import standard_network
from models.network.layers import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    LocalResponseNorm,
    Padding,
    Pool,
)
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.network import Network

# channels, kernel, stride, groups, padding, normalised, pooled
ALEXNET: tuple[tuple[int, int, int, int, Padding, bool, bool], ...] = (
    (96, 11, 4, 1, "valid", True, True),
    (256, 5, 1, 2, "same", True, True),
    (384, 3, 1, 1, "same", False, False),
    (384, 3, 1, 2, "same", False, False),
    (256, 3, 1, 2, "same", False, True),
)
# channels, convolutions before each pooling
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# name; channels: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, pool projected
GOOGLENET = (
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
# channels inside a block (a fourth of those outside), blocks, stride of the first
RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
# channels: squeezed, expanded (1x1 and 3x3 each); None is a pooling
SQUEEZENET = (
    (16, 64), (16, 64), (32, 128), None,
    (32, 128), (48, 192), (48, 192), (64, 256), None,
    (64, 256),
)  # fmt: skip


def alexnet(classes: int = 1000) -> Network:
    """Krizhevsky et al. 2012, section 3.5, with two groups, on 227 x 227 pixels."""
    network = Network("other", None, (3, 227, 227))
    for index, (channels, side, stride, groups, padding, norm, pool) in enumerate(ALEXNET, start=1):
        network.add(f"conv{index}", _conv(channels, side, stride, padding, groups))
        if norm:
            network.add(f"norm{index}", LocalResponseNorm())
        if pool:
            network.add(f"pool{index}", Pool("max", (3, 3), 2))
    _add_linear_layers(network, classes)
    return network


def vgg16(classes: int = 1000) -> Network:
    """Simonyan and Zisserman 2014 (arXiv 1409.1556), Table 1, column D, on 224 x 224 pixels."""
    network = Network("other", None, (3, 224, 224))
    for stage, (channels, repeats) in enumerate(VGG16, start=1):
        for repeat in range(1, repeats + 1):
            network.add(f"conv{stage}_{repeat}", _conv(channels, 3))
        network.add(f"pool{stage}", Pool("max", (2, 2), 2))
    _add_linear_layers(network, classes)
    return network


def googlenet(classes: int = 1000) -> Network:
    """Szegedy et al. 2014 (arXiv 1409.4842), Table 1, on 224 x 224 pixels.

    Without its auxiliary classifiers.
    """
    network, halve = Network("other", None, (3, 224, 224)), Pool("max", (3, 3), 2, "same")
    network.add("conv1", _conv(64, 7, stride=2))
    network.add("pool1", halve)
    network.add("norm1", LocalResponseNorm())
    network.add("conv2_reduce", _conv(64))
    network.add("conv2", _conv(192, 3))
    network.add("norm2", LocalResponseNorm())
    network.add("pool2", halve)
    for name, plain, reduced_3, out_3, reduced_5, out_5, projected in GOOGLENET:
        _add_branches(
            network,
            name,
            [_conv(plain)],
            [_conv(reduced_3), _conv(out_3, 3)],
            [_conv(reduced_5), _conv(out_5, 5)],
            [Pool("max", (3, 3), 1, "same"), _conv(projected)],
        )
        if name in ("3b", "4e"):
            network.add(f"pool_{name}", halve)
    return network.add_classifier(classes)


def resnet50(classes: int = 1000) -> Network:
    """He et al. 2015 (arXiv 1512.03385), Table 1, on 224 x 224 pixels.

    The first 1x1 of a stage has stride 2. torchvision moves that stride to the following 3x3, which
    costs 6 % more.
    """
    network = Network("other", None, (3, 224, 224))
    network.add("stem", Conv(64, (7, 7), 2, padding="symmetric", activation="relu"))
    network.add("pool1", Pool("max", (3, 3), 2, "symmetric"))
    for stage, (channels, blocks, first_stride) in enumerate(RESNET50, start=2):
        for block in range(blocks):
            _add_bottleneck(network, f"{stage}_{block}", channels, 1 if block else first_stride)
    return network.add_classifier(classes)


def squeezenet(classes: int = 1000) -> Network:
    """Iandola et al. 2016 (arXiv 1602.07360), Table 1, on 227 x 227 pixels.

    The last pooling is over class scores.
    """
    network = Network("other", None, (3, 227, 227))
    network.add("conv1", _conv(96, 7, 2, "valid"))
    network.add("pool1", Pool("max", (3, 3), 2))
    index = 2
    for channels in SQUEEZENET:
        if channels is None:
            network.add(f"pool{index - 1}", Pool("max", (3, 3), 2))
            continue
        squeezed, expanded = channels
        network.add(f"fire{index}_squeeze", _conv(squeezed))
        _add_branches(network, f"fire{index}", [_conv(expanded)], [_conv(expanded, 3)])
        index += 1
    network.add("conv10", _conv(classes))
    network.add("pool", GlobalPool())
    return network


def conv_mobilenet(classes: int = 1000) -> Network:
    """MobileNetV1 with standard convolutions (V1 paper, Table 4)."""
    return standard_network(mobilenet_v1(classes=classes))


def shallow_mobilenet(classes: int = 1000) -> Network:
    """MobileNetV1 without its five equal layers of 14 x 14 x 512 (V1 paper, Table 5)."""
    full = mobilenet_v1(classes=classes)
    omitted = tuple(f"Conv2d_{index}_" for index in range(7, 12))
    network = Network(full.family, full.alpha, full.input_shape)
    for node in full.nodes:
        if not node.name.startswith(omitted):
            network.add(node.name, node.layer)
    return network


def inception_module(*, bottlenecks: bool) -> Network:
    """GoogLeNet's module on 28 x 28 x 256, as in Stanford's CS231n (lecture on architectures).

    Bottlenecks are 64 channels before the 3x3 and 5x5 convolutions and after the pooling.
    """
    network = Network("other", None, (256, 28, 28))
    narrow = [Conv(64, batch_norm=False)] if bottlenecks else []
    _add_branches(
        network,
        "module",
        [Conv(128, batch_norm=False)],
        [*narrow, Conv(192, (3, 3), batch_norm=False)],
        [*narrow, Conv(96, (5, 5), batch_norm=False)],
        [Pool("max", (3, 3), 1, "same"), *narrow],
    )
    return network


def inception_v3(classes: int = 1000) -> Network:
    """Szegedy et al. 2015 (arXiv 1512.00567) on 299 x 299 pixels, without auxiliary classifier.

    Channels as in the authors' code (tensorflow/models research/slim/nets/inception_v3.py).
    """
    conv, network = _conv_with_batch_norm, Network("other", None, (3, 299, 299))
    add = partial(_add_branches, network)
    average, halve = Pool("avg", (3, 3), 1, "same"), Pool("max", (3, 3), 2)
    stem: tuple[Layer, ...] = (
        conv(32, 3, 3, 2), conv(32, 3, 3, padding="valid"), conv(64, 3, 3), halve,
        conv(80), conv(192, 3, 3, padding="valid"), halve,
    )  # fmt: skip
    for index, layer in enumerate(stem):
        network.add(f"stem_{index}", layer)
    for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
        add(
            name,
            [conv(64)],
            [conv(48), conv(64, 5, 5)],
            [conv(64), conv(96, 3, 3), conv(96, 3, 3)],
            [average, conv(pooled)],
        )
    add("6a", [conv(384, 3, 3, 2)], [conv(64), conv(96, 3, 3), conv(96, 3, 3, 2)], [halve])
    for name, wide in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        add(  # a 7x7 kernel is factorised into 1x7 and 7x1
            name,
            [conv(192)],
            [conv(wide), conv(wide, 1, 7), conv(192, 7, 1)],
            [conv(wide), conv(wide, 7, 1), conv(wide, 1, 7), conv(wide, 7, 1), conv(192, 1, 7)],
            [average, conv(192)],
        )
    add(
        "7a",
        [conv(192), conv(320, 3, 3, 2)],
        [conv(192), conv(192, 1, 7), conv(192, 7, 1), conv(192, 3, 3, 2)],
        [halve],
    )
    for name in ("7b", "7c"):
        add(
            name,
            [conv(320)],
            [conv(384), (conv(384, 1, 3), conv(384, 3, 1))],
            [conv(448), conv(384, 3, 3), (conv(384, 1, 3), conv(384, 3, 1))],
            [average, conv(192)],
        )
    return network.add_classifier(classes)


def _conv(
    channels: int, side: int = 1, stride: int = 1, padding: Padding = "same", groups: int = 1
) -> Conv:
    """A convolution of the time before batch norm."""
    return Conv(
        channels, (side, side), stride, groups, padding,
        bias=True, batch_norm=False, activation="relu",
    )  # fmt: skip


def _add_linear_layers(network: Network, classes: int) -> None:
    for index, features in enumerate((4096, 4096, classes), start=6):
        network.add(f"fc{index}", Linear(features))


def _conv_with_batch_norm(
    channels: int, height: int = 1, width: int = 1, stride: int = 1, padding: Padding | None = None
) -> Conv:
    padding = padding or ("valid" if stride > 1 else "same")
    return Conv(channels, (height, width), stride, padding=padding, activation="relu")


def _add_branches(
    network: Network, name: str, *branches: Sequence[Layer | tuple[Layer, ...]]
) -> None:
    """Concatenate branches that read the last layer; a tuple at the end of a branch splits it."""
    entry, ends = network.last, []
    for number, branch in enumerate(branches):
        last = [entry]
        for at, layer in enumerate(branch):
            parallel = layer if isinstance(layer, tuple) else (layer,)
            last = [
                network.add(f"{name}_{number}_{at}_{index}", each, *last)
                for index, each in enumerate(parallel)
            ]
        ends += last
    network.add(f"{name}_concat", Concat(), *ends)


def _add_bottleneck(network: Network, name: str, channels: int, stride: int) -> None:
    entry = shortcut = network.last
    network.add(f"{name}_reduce", Conv(channels, stride=stride, activation="relu"))
    network.add(f"{name}_3x3", Conv(channels, (3, 3), activation="relu"))
    expanded = network.add(f"{name}_expand", Conv(4 * channels, activation=None))
    if network.shape_of(entry) != network.shape_of(expanded):
        projection = Conv(4 * channels, stride=stride, activation=None)
        shortcut = network.add(f"{name}_project", projection, entry)
    network.add(f"{name}_add", Add(), expanded, shortcut)
    network.add(f"{name}_relu", Activation("relu"))


# by name; the argument is the number of classes
REFERENCES: dict[str, Callable[[int], Network]] = {
    "AlexNet": alexnet,
    "VGG-16": vgg16,
    "GoogLeNet": googlenet,
    "ResNet-50": resnet50,
    "SqueezeNet 1.0": squeezenet,
    "Inception-V3": inception_v3,
}
