"""How a published network may depart from the papers' tables besides width and resolution."""

from typing import cast

from pydantic import BaseModel, Field

from app.card.card import Family
from models.network import mobilenet_v1, mobilenet_v2
from models.network.layers import Padding
from models.network.network import Network


class Design(BaseModel, frozen=True, extra="forbid"):
    """Departures from the papers; all but `expansion` follow timm (`efficientnet.py`).

    expansion   V2: replaces every t of the table except the 1
    depth       V2: multiplies the number of blocks of each stage, rounded up
    fixed_ends  V2: keeps the channels of stem and head and the blocks of the first and last stage
    head        V1: adds a pointwise convolution of 1024 channels before the pooling
    """

    expansion: int = Field(default=6, ge=1)
    depth: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    fixed_ends: bool = False
    head: bool = False


PAPER_DESIGN = Design()


def define(
    family: Family,
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    padding: Padding = "same",
    design: Design = PAPER_DESIGN,
) -> Network:
    """The network of that family.

    Raises:
        ValueError: the family is unknown, alpha or resolution is out of range, or the design does
            not apply to the family.
    """
    if check_family(family) == "mobilenet_v1":
        if design != Design(head=design.head):
            raise ValueError(
                "Expansion, depth and fixed_ends apply to mobilenet_v2 only; mobilenet_v1 has head."
            )
        return mobilenet_v1.mobilenet_v1(alpha, resolution, classes, padding, head=design.head)
    if design.head:
        raise ValueError(
            "Head applies to mobilenet_v1 only; mobilenet_v2 has expansion, depth and fixed_ends."
        )
    return mobilenet_v2.mobilenet_v2(
        alpha, resolution, classes, design.expansion, padding, design.depth, design.fixed_ends
    )


def stem_channels(family: Family, alpha: float, design: Design = PAPER_DESIGN) -> int:
    """Channels of the first convolution of that network."""
    if family == "mobilenet_v1":
        return mobilenet_v1.stem_channels(alpha)
    return mobilenet_v2.stem_channels(alpha, design.fixed_ends)


def check_family(text: str) -> Family:
    """Check the name of a family.

    Raises:
        ValueError: it is unknown.
    """
    if text not in ("mobilenet_v1", "mobilenet_v2"):
        raise ValueError(f"Unknown family {text!r}. Supported: mobilenet_v1, mobilenet_v2.")
    return cast(Family, text)
