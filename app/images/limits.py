"""Which images are accepted, by their headers."""

from dataclasses import dataclass
from typing import Self

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What the header of an image may declare, in pixels."""

    max_pixels: int = 40_000_000
    min_side: int = 8

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(settings.max_pixels, settings.min_side_pixels)
