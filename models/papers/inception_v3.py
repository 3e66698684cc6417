"""Inception-V3 (Szegedy et al. 2015, arXiv 1512.00567), without its auxiliary classifier.

Channels as in the authors' code (tensorflow/models research/slim/nets/inception_v3.py).
"""

from models.network.layers import Concat, Conv, GlobalPool, Linear, Padding, Pool
from models.network.network import Network

# A branch starts with an optional pooling; a unit is (channels, height, width[, stride]).
Unit = tuple[int, int, int] | tuple[int, int, int, int]
Branch = tuple[str, tuple[Unit, ...]]

STEM: tuple[tuple[int, int, int, Padding], ...] = (
    (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3, 1, "same"), (0, 3, 2, "valid"),
    (80, 1, 1, "same"), (192, 3, 1, "valid"), (0, 3, 2, "valid"),
)  # fmt: skip


def inception_v3(classes: int = 1000) -> Network:
    """Eleven inception modules on 299 x 299 pixels."""
    network = Network("other", None, (3, 299, 299))
    for index, (channels, side, stride, padding) in enumerate(STEM):
        if channels:
            conv = Conv(channels, (side, side), stride, padding=padding, activation="relu")
            network.add(f"stem_{index}", conv)
        else:
            network.add(f"stem_{index}", Pool("max", (side, side), stride))
    for name, branches in _modules():
        _add_module(network, name, branches)
    network.add("pool", GlobalPool())
    network.add("classifier", Linear(classes))
    return network


def _modules() -> list[tuple[str, tuple[Branch, ...]]]:
    return [
        ("5b", _five_by_five(32)),
        ("5c", _five_by_five(64)),
        ("5d", _five_by_five(64)),
        ("6a", (
            ("", ((384, 3, 3, 2),)),
            ("", ((64, 1, 1), (96, 3, 3), (96, 3, 3, 2))),
            ("max", ()),
        )),
        ("6b", _seven(128)),
        ("6c", _seven(160)),
        ("6d", _seven(160)),
        ("6e", _seven(192)),
        ("7a", (
            ("", ((192, 1, 1), (320, 3, 3, 2))),
            ("", ((192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2))),
            ("max", ()),
        )),
        ("7b", _EXPANDED),
        ("7c", _EXPANDED),
    ]  # fmt: skip


def _five_by_five(pooled: int) -> tuple[Branch, ...]:
    return (
        ("", ((64, 1, 1),)),
        ("", ((48, 1, 1), (64, 5, 5))),
        ("", ((64, 1, 1), (96, 3, 3), (96, 3, 3))),
        ("avg", ((pooled, 1, 1),)),
    )


def _seven(wide: int) -> tuple[Branch, ...]:
    """A 7x7 kernel factorised into 1x7 and 7x1."""
    return (
        ("", ((192, 1, 1),)),
        ("", ((wide, 1, 1), (wide, 1, 7), (192, 7, 1))),
        ("", ((wide, 1, 1), (wide, 7, 1), (wide, 1, 7), (wide, 7, 1), (192, 1, 7))),
        ("avg", ((192, 1, 1),)),
    )


# "split" ends a branch with parallel 1x3 and 3x1 convolutions
_EXPANDED: tuple[Branch, ...] = (
    ("", ((320, 1, 1),)),
    ("split", ((384, 1, 1),)),
    ("split", ((448, 1, 1), (384, 3, 3))),
    ("avg", ((192, 1, 1),)),
)


def _add_module(network: Network, name: str, branches: tuple[Branch, ...]) -> None:
    entry, ends = network.last, []
    for number, (kind, units) in enumerate(branches):
        last = entry
        if kind == "avg":
            last = network.add(f"{name}_{number}_pool", Pool("avg", (3, 3), 1, "same"), last)
        elif kind == "max":
            last = network.add(f"{name}_{number}_pool", Pool("max", (3, 3), 2), last)
        for at, unit in enumerate(units):
            last = network.add(f"{name}_{number}_{at}", _conv(unit), last)
        if kind == "split":
            ends.append(network.add(f"{name}_{number}_1x3", _conv((384, 1, 3)), last))
            last = network.add(f"{name}_{number}_3x1", _conv((384, 3, 1)), last)
        ends.append(last)
    network.add(f"{name}_concat", Concat(), *ends)


def _conv(unit: Unit) -> Conv:
    channels, height, width, *strides = unit
    stride = strides[0] if strides else 1
    padding: Padding = "valid" if stride > 1 else "same"
    return Conv(channels, (height, width), stride, padding=padding, activation="relu")
