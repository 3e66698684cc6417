"""What a published network may change of the papers' tables besides width and resolution."""

from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from app.card.card import Family
from models.network.layers import Padding
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from models.network.network import Network


class Design(BaseModel):
    """Departures from the papers; all but `expansion` as timm publishes them (`efficientnet.py`).

    `expansion` stands in for every t of V2's table but the 1; `depth` multiplies how often a stage
    of V2 repeats its block, rounded up; `fixed_ends` leaves V2's stem, head, first and last stage
    as the paper has them (width of the two stages aside).
    `head` puts a pointwise convolution of 1024 channels between V1's last block and its pooling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    expansion: int = Field(default=6, ge=1)
    depth: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    fixed_ends: bool = False
    head: bool = False


PAPER = Design()


def define(
    family: Family,
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    padding: Padding = "same",
    design: Design = PAPER,
) -> Network:
    """The network of that family.

    Raises:
        ValueError: another family; alpha or resolution is outside what it covers; or the design is
            one that it does not have.
    """
    if family == "mobilenet_v1":
        if design != Design(head=design.head):
            raise ValueError(
                "expansion, depth and fixed_ends are of mobilenet_v2; mobilenet_v1 has head"
            )
        return mobilenet_v1(alpha, resolution, classes, padding, head=design.head)
    if family == "mobilenet_v2":
        if design.head:
            raise ValueError(
                "head is of mobilenet_v1; mobilenet_v2 has expansion, depth and fixed_ends"
            )
        return mobilenet_v2(
            alpha, resolution, classes, design.expansion, padding, design.depth, design.fixed_ends
        )
    raise _no_such(family)


def check_family(text: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: none is called so.
    """
    if text not in ("mobilenet_v1", "mobilenet_v2"):
        raise _no_such(text)
    return cast(Family, text)


def _no_such(family: str) -> ValueError:
    return ValueError(f"family is {family!r}; it has to be mobilenet_v1 or mobilenet_v2")
