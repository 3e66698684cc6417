"""A map of class activations, drawn over the image that the model saw."""

import io

import numpy as np
from PIL import Image

from app.arrays import Uint8Array
from app.explain.activation_map import Grid

MAX_OPACITY = 0.7
FADING = 1.5  # so that weak evidence leaves the image clear


def overlay_png(pixels: Uint8Array, grid: Grid) -> bytes:
    """A PNG of an image [H, W, 3] under its map [h, w]: yellow where most speaks for the class.

    What speaks against it is left as it is.
    """
    height, width, _ = pixels.shape
    places = np.array(grid, np.float32)
    strength = np.maximum(places, 0) / max(float(places.max()), np.finfo(np.float32).tiny)
    smooth = Image.fromarray(strength).resize((width, height), Image.Resampling.BICUBIC)
    heat = np.asarray(smooth).clip(0, 1)[..., np.newaxis]
    colour = np.concatenate([np.full_like(heat, 255), 255 * heat, np.zeros_like(heat)], axis=2)
    opacity = MAX_OPACITY * heat**FADING
    drawn = pixels * (1 - opacity) + colour * opacity
    file = io.BytesIO()
    Image.fromarray(drawn.round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
