"""Pictures of scenes that a camera might see, made here."""

import io

import numpy as np
from PIL import Image

from app.arrays import Uint8Array


def jpeg(pixels: Uint8Array, quality: int = 90) -> bytes:
    """Encode RGB [height, width, 3] or grey [height, width] pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def plain(grey: int, width: int = 160, height: int = 120) -> bytes:
    """A JPEG of one colour."""
    return jpeg(np.full((height, width, 3), grey, np.uint8))
