"""One image of a camera, and how a worker reads it."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from app.arrays import Uint8Array
from app.cameras.frames.zone import Rectangle
from app.inference.classify import Classifier
from app.model.model import Model


class Content(Protocol):
    """The pixels of a frame, still encoded or as a decoder left them; any thread may read them."""

    def grey(self, zone: Rectangle, cells: int, rotation: int) -> Uint8Array | None:
        """The zone in grey, `cells` along its longer side; None if that would take long."""

    def square(
        self, classifier: Classifier, model: Model, resolution: int, zone: Rectangle, rotation: int
    ) -> Uint8Array:
        """The input of a model [resolution, resolution, 3].

        Raises:
            ImageError: it cannot be decoded.
            Deferred: the helper process has to decode it.
        """

    def jpeg(self, rotation: int) -> bytes | None:
        """The whole frame as JPEG, turned clockwise; None if it cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with the time of its capture, or of its arrival if the source does not tell."""

    content: Content
    at: float = field(default_factory=time.monotonic)
    replaced: int = 0  # frames since the last one that this one replaced before they were seen

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.at
