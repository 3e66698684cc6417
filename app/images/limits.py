"""Limits on images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # the helper process does without pydantic
    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Maximum area and minimum side of an image, in pixels."""

    max_pixels: int = 100_000_000
    min_side: int = 8

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        return cls(settings.max_pixels, settings.min_side_pixels)


class BeyondBounds(Exception):
    """Decoding the image may take more time or memory than is allowed here."""
