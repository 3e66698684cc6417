"""The part of a frame that counts, in shares of its displayed width and height."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from app.images.crop import Box


class Rectangle(NamedTuple):
    """`[left, top, width, height]` from the upper left corner, each from 0 to 1."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def of(self, width: int, height: int) -> Box:
        """The rectangle of an image in pixels."""
        return Box(
            self.left * width, self.top * height, self.right * width, self.bottom * height
        )  # fmt: skip


WHOLE = Rectangle(0, 0, 1, 1)
ROUNDING = 1e-9


def bounds(zone: Sequence[Rectangle]) -> Rectangle:
    """The smallest rectangle around all; the whole frame without any."""
    if not zone:
        return WHOLE
    left, top = min(one.left for one in zone), min(one.top for one in zone)
    right, bottom = max(one.right for one in zone), max(one.bottom for one in zone)
    return Rectangle(left, top, right - left, bottom - top)


def _check(rectangle: Rectangle) -> Rectangle:
    left, top, width, height = rectangle
    if min(left, top) < 0 or min(width, height) <= 0:
        raise ValueError("left and top must be at least 0, width and height more than 0")
    if max(rectangle.right, rectangle.bottom) > 1 + ROUNDING:
        raise ValueError("left + width and top + height must be at most 1")
    return rectangle


CheckedRectangle = Annotated[Rectangle, AfterValidator(_check)]
