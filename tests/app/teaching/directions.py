"""Embeddings in a plane."""

import numpy as np

from app.arrays import Float32Array


def at_degrees(*degrees: float) -> Float32Array:
    """Unit vectors; the cosine of two is that of the angle between them."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
