"""Why a model found a class: the map of the class, and where it lies in the photo."""

from base64 import b64encode
from typing import Literal

from pydantic import Field

from app.arrays import Float32Array, Uint8Array
from app.explain.activation_map import evidence
from app.explain.overlay import overlay_png
from app.explain.photo import part
from app.images.crop import Box
from app.wire import Wire

DIGITS = 6  # of logits


class Region(Wire):
    """A region of the displayed photo in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, box: Box) -> "Region":
        left, top, right, bottom = (round(edge, 1) for edge in box)
        return cls(left=left, top=top, right=right, bottom=bottom)


class Explanation(Wire):
    """The class activation map of one class; without `grid`, `unavailable` says why."""

    class_id: int = Field(description="The class that is explained.")
    label: str
    method: Literal["cam"] = "cam"
    grid: list[list[float]] | None = Field(
        None,
        description="What each place adds to the logit, row by row. Its mean and `bias` together "
        "are the logit.",
    )
    bias: float | None = None
    region: Region | None = Field(
        None, description="What the model sees of the photo, where that is known."
    )
    box: Region | None = Field(
        None, description="Around the strongest evidence, if anything speaks for the class."
    )
    overlay: str | None = Field(None, description="With overlay=true: a PNG as a `data:` URL.")
    unavailable: str | None = Field(None, description="Why there is no map.")

    @classmethod
    def of(
        cls,
        class_id: int,
        label: str,
        grid: Float32Array,
        bias: float,
        region: Box | None,
        pixels: Uint8Array | None,
    ) -> "Explanation":
        """Describe a map [h, w] over a region of a photo, drawn over `pixels` if there are any."""
        overlay = None
        if pixels is not None:
            overlay = f"data:image/png;base64,{b64encode(overlay_png(pixels, grid)).decode()}"
        return cls(
            class_id=class_id,
            label=label,
            grid=[[round(value, DIGITS) for value in row] for row in grid.tolist()],
            bias=round(bias, DIGITS),
            region=Region.of(region) if region else None,
            box=_box(grid, region) if region else None,
            overlay=overlay,
        )


def _box(grid: Float32Array, region: Box) -> Region | None:
    cells = evidence(grid)
    if cells is None:
        return None
    rows, columns = grid.shape
    top, bottom = cells.top / rows, cells.bottom / rows
    left, right = cells.left / columns, cells.right / columns
    return Region.of(part(region, left, top, right, bottom))
