"""Why a model found a class: the map of the class, and where it lies in the photo.

Plain records like those of `app.inference.results`, for the same reason.
"""

from base64 import b64encode
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from math import isfinite
from typing import Annotated, Literal

from pydantic import Field

from app.arrays import Uint8Array
from app.explain.activation_map import Grid, evidence
from app.explain.overlay import overlay_png
from app.explain.photo import part
from app.images.crop import Box

NUMBER = "%.6f"  # of logits


@dataclass(slots=True)
class Region:
    """A region of the displayed photo in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def to_json(self) -> str:
        return (
            f'{{"left":{self.left:.1f},"top":{self.top:.1f},'
            f'"right":{self.right:.1f},"bottom":{self.bottom:.1f}}}'
        )


@dataclass(slots=True)
class Explanation:
    """The class activation map of one class; without `grid`, `unavailable` says why."""

    class_id: Annotated[int, Field(description="The class that is explained.")]
    label: str
    method: Literal["cam"] = "cam"
    grid: Annotated[
        Grid | None,
        Field(
            description="What each place adds to the logit, row by row. Its mean and `bias` "
            "together are the logit."
        ),
    ] = None
    bias: float | None = None
    region: Annotated[
        Region | None, Field(description="What the model sees of the photo, where that is known.")
    ] = None
    box: Annotated[
        Region | None,
        Field(description="Around the strongest evidence, if anything speaks for the class."),
    ] = None
    overlay: Annotated[
        str | None, Field(description="With overlay=true: a PNG as a `data:` URL.")
    ] = None
    unavailable: Annotated[str | None, Field(description="Why there is no map.")] = None

    @classmethod
    def of(
        cls,
        class_id: int,
        label: str,
        grid: Grid,
        bias: float,
        region: Box | None,
        pixels: Uint8Array | None,
    ) -> "Explanation":
        """Describe a map [h, w] over a region of a photo, drawn over `pixels` if there are any."""
        if not isfinite(grid[0][0]):  # then no place is
            return cls(class_id, label, unavailable="The model gives this class no finite number.")
        found = cls(class_id, label, "cam", grid, bias)
        if region is not None:
            found.region, found.box = Region(*region), _box(grid, region)
        if pixels is not None:
            png = b64encode(overlay_png(pixels, grid)).decode()
            found.overlay = f"data:image/png;base64,{png}"
        return found

    def to_json(self) -> str:
        text = f'{{"class_id":{self.class_id},"label":{quoted(self.label)},"method":"{self.method}"'
        if self.grid is not None:
            row = ",".join([NUMBER] * len(self.grid[0]))
            rows = "],[".join([row % tuple(values) for values in self.grid])
            text += f',"grid":[[{rows}]],"bias":{NUMBER % self.bias}'
        if self.region is not None:
            text += f',"region":{self.region.to_json()}'
        if self.box is not None:
            text += f',"box":{self.box.to_json()}'
        if self.overlay is not None:
            text += f',"overlay":"{self.overlay}"'
        if self.unavailable is not None:
            text += f',"unavailable":{quoted(self.unavailable)}'
        return text + "}"


def _box(grid: Grid, region: Box) -> Region | None:
    cells = evidence(grid)
    if cells is None:
        return None
    rows, columns = len(grid), len(grid[0])
    top, bottom = cells.top / rows, cells.bottom / rows
    left, right = cells.left / columns, cells.right / columns
    return Region(*part(region, left, top, right, bottom))
