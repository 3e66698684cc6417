"""The papers' figures compared with those computed from the definitions.

`printed.csv` has the printed figures, with the reason where the computed one differs. Sources:
Howard et al. 2017 (arXiv 1704.04861), Tables 4 to 10; Sandler et al. 2018 (arXiv 1801.04381),
Tables 3 and 4; He et al. 2015 (arXiv 1512.03385), Table 1; Stanford's CS231n: its lecture on
architectures (inception modules) and its notes on convolutional networks (VGG-16).
"""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from io import StringIO
from math import floor, prod
from pathlib import Path
from typing import Any

from app.card.card import Family
from models.network.cost import network_cost
from models.network.design import define
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from models.network.network import Network
from models.papers.references import (
    REFERENCES,
    conv_mobilenet,
    inception_module,
    shallow_mobilenet,
    vgg16,
)

PRINTED = Path(__file__).with_name("printed.csv")
VGG16_PRINTED_BYTES = 96_000_000
VGG16_WHY = (
    "the rows of the lecture add up to 15.2 M values, not to the 24 M that it multiplies by 4 bytes"
)
STAGE_INPUT = (
    "V2: the table has the channels of the stage that starts at this size, whose output has half "
    "the height and width"
)
# size: channels and kB of V1 and of V2, and the reason where they differ
PRINTED_MEMORY = {
    112: ((64, 1600, 16, 400), None),
    56: ((128, 800, 32, 200), STAGE_INPUT),
    28: ((256, 400, 64, 100), STAGE_INPUT),
    14: ((512, 200, 160, 62), STAGE_INPUT),
    7: ((1024, 199, 320, 32), "V1: erratum: 7 x 7 x 1024 values of 2 bytes are 100 kB"),
    1: ((1024, 2, 1280, 2), None),
}

FAMILIES: dict[str, Family] = {"MobileNetV1": "mobilenet_v1", "MobileNetV2": "mobilenet_v2"}
OTHERS: dict[str, Callable[[int], Network]] = REFERENCES | {
    "Conv MobileNet": conv_mobilenet,
    "Shallow MobileNet": shallow_mobilenet,
    "Inception module": lambda _: inception_module(bottlenecks=False),
    "Inception module with bottlenecks": lambda _: inception_module(bottlenecks=True),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of a paper's table and the computed figures, in millions; top-1 in percent.

    `params_M` counts weights, biases and two values per batch-norm channel.
    """

    table: str
    network: str
    alpha: float | None
    resolution: int
    classes: int
    top1: float | None
    printed_madds_M: str  # noqa: N815  M for millions
    madds_M: float  # noqa: N815  as above
    printed_params_M: str | None  # noqa: N815  as above
    params_M: float  # noqa: N815  as above
    why: str | None

    @property
    def name(self) -> str:
        """Such as `MobileNetV1 0.75 192`, or the name alone for a network of a single size."""
        if self.alpha is None or self.network not in FAMILIES:
            return self.network
        return f"{self.network} {self.alpha} {self.resolution}"

    @property
    def agrees(self) -> bool:
        """Whether both printed figures are the computed ones, rounded or truncated."""
        return agrees(self.printed_madds_M, self.madds_M) and (
            self.printed_params_M is None or agrees(self.printed_params_M, self.params_M)
        )


def agrees(printed: str, computed: float) -> bool:
    """Whether a printed figure is the computed one to the printed number of decimals."""
    unit = 10.0 ** -len(printed.partition(".")[2])
    units = computed / unit
    return any(
        abs(float(printed) - whole * unit) < unit / 1000
        for whole in (floor(units), floor(units + 0.5))
    )


@cache
def comparisons() -> tuple[Comparison, ...]:
    with PRINTED.open(encoding="utf-8", newline="") as file:
        return tuple(_compare(row) for row in csv.DictReader(file))


def as_data() -> dict[str, Any]:
    return {
        "networks": [{**asdict(row), "agrees": row.agrees} for row in comparisons()],
        "widest_tensors": [asdict(row) for row in widest_tensors()],
        "vgg16_activation_bytes": {
            "printed": VGG16_PRINTED_BYTES, "found": vgg16_activation_bytes(), "why": VGG16_WHY,
        },
    }  # fmt: skip


def as_csv() -> str:
    """The networks as CSV."""
    text = StringIO()
    rows = as_data()["networks"]
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class WidestTensor:
    """The widest tensor between layers (V1) or blocks (V2) at a size, in 16-bit values."""

    size: int
    v1_channels: int
    v1_kb: float
    v2_channels: int
    v2_kb: float
    printed: tuple[int, int, int, int]
    why: str | None


def widest_tensors() -> tuple[WidestTensor, ...]:
    """Table 3 of the V2 paper."""
    rows = []
    for size, (printed, why) in PRINTED_MEMORY.items():
        v1 = _widest(mobilenet_v1(), size, between_blocks=False)
        v2 = _widest(mobilenet_v2(), size, between_blocks=True)
        v1_kb, v2_kb = (channels * size * size * 2 / 1e3 for channels in (v1, v2))
        rows.append(WidestTensor(size, v1, v1_kb, v2, v2_kb, printed, why))
    return tuple(rows)


def activation_bytes(network: Network, value_bytes: int = 4) -> int:
    """Bytes of all feature maps of one image, including the input."""
    values = prod(network.input_shape) + sum(prod(step.output_shape) for step in network.steps())
    return values * value_bytes


def vgg16_activation_bytes() -> int:
    """Bytes of VGG-16's feature maps of one image in 32-bit values, as training keeps them."""
    return activation_bytes(vgg16())


def _compare(row: dict[str, str]) -> Comparison:
    classes, resolution = int(row["classes"]), int(row["resolution"])
    alpha = float(row["alpha"]) if row["alpha"] else None
    cost = network_cost(_network(row["network"], alpha, resolution, classes))
    return Comparison(
        table=row["table"],
        network=row["network"],
        alpha=alpha,
        resolution=resolution,
        classes=classes,
        top1=float(row["top1"]) if row["top1"] else None,
        printed_madds_M=row["madds_M"],
        madds_M=cost.madds / 1e6,
        printed_params_M=row["params_M"] or None,
        params_M=cost.params / 1e6,
        why=row["why"] or None,
    )


def _network(name: str, alpha: float | None, resolution: int, classes: int) -> Network:
    if name in OTHERS:
        return OTHERS[name](classes)
    return define(FAMILIES[name], alpha or 1.0, resolution, classes)


def _widest(network: Network, size: int, *, between_blocks: bool) -> int:
    """Maximum channels of a tensor of that size, optionally only of those between blocks."""
    return max(
        step.output_shape[0]
        for step in network.steps()
        if step.output_shape[1] == size
        and step.node.layer.kind != "linear"
        and (not between_blocks or step.node.name.endswith("_project") or size == 1)
    )
