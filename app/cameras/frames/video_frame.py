"""A frame as FFmpeg decoded it; needs PyAV."""

import math
import threading
from dataclasses import dataclass, field

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from app.arrays import Uint8Array
from app.cameras.frames.encoded_frame import encoded, grid, within
from app.cameras.frames.turned import as_captured, turned
from app.cameras.frames.zone import WHOLE, Rectangle
from app.images.crop import needed_side
from app.images.jpeg.plain import RESAMPLING
from app.inference.classify import Classifier
from app.model.model import Model

SCALES = (8, 4, 2)  # as those of JPEG


@dataclass(frozen=True, slots=True)
class VideoFrameContent:
    """A decoded frame in the colours of its stream."""

    frame: VideoFrame
    lock: threading.Lock = field(default_factory=threading.Lock)  # a frame converts one at a time

    def grey(self, zone: Rectangle, cells: int, rotation: int) -> Uint8Array | None:
        """As `Content.grey`."""
        captured = as_captured(zone, rotation)
        image = Image.fromarray(self._pixels("gray", captured, cells))
        box = captured.of(*image.size)
        return turned(
            np.asarray(image.resize(grid(box, cells), Image.Resampling.BOX, box)), rotation
        )

    def square(
        self, classifier: Classifier, model: Model, resolution: int, zone: Rectangle, rotation: int
    ) -> Uint8Array:
        """As `Content.square`."""
        rule, captured = model.card.preprocessing, as_captured(zone, rotation)
        image = Image.fromarray(self._pixels("rgb24", captured, needed_side(resolution, rule)))
        box = within(captured.of(*image.size), resolution, rule)
        small = image.resize((resolution, resolution), RESAMPLING[rule.interpolation], box)
        return turned(np.asarray(small), rotation)

    def jpeg(self, rotation: int) -> bytes | None:
        """As `Content.jpeg`."""
        try:
            whole = self._pixels("rgb24", WHOLE, max(self.frame.width, self.frame.height))
        except (ValueError, OSError):  # PyAV's errors are of both kinds
            return None
        return encoded(Image.fromarray(whole), rotation)

    def _pixels(self, format_name: str, zone: Rectangle, side: int) -> Uint8Array:
        """The whole frame, as small as leaves the zone `side` pixels along each side."""
        frame = self.frame
        shorter = min(frame.width * zone.width, frame.height * zone.height)
        scale = next((one for one in SCALES if shorter / one >= side), 1)
        with self.lock:
            small = frame.reformat(
                width=math.ceil(frame.width / scale),
                height=math.ceil(frame.height / scale),
                format=format_name,
                interpolation="AREA",
                threads=1,  # a worker has one core, and every frame would start threads of its own
            )
        return np.asarray(small.to_ndarray(), np.uint8)
