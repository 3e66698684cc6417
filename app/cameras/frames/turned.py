"""Frames that are displayed turned: what that means for rectangles and pixels."""

import numpy as np

from app.arrays import Uint8Array
from app.cameras.frames.zone import Rectangle


def as_captured(zone: Rectangle, rotation: int) -> Rectangle:
    """The rectangle of the captured frame that a rectangle of the turned one shows."""
    left, top, width, height = zone
    for _ in range(rotation // 90):  # undo one quarter turn clockwise
        left, top, width, height = top, 1 - left - width, height, width
    return Rectangle(left, top, width, height)


def turned(pixels: Uint8Array, rotation: int) -> Uint8Array:
    """Turn pixels [height, width, ...] clockwise."""
    return np.ascontiguousarray(np.rot90(pixels, -rotation // 90)) if rotation else pixels
