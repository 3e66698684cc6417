"""Groups of photos that show nearly the same: bursts of one camera, copies, crops.

Photos of one group must not be on both sides of a split, or the accuracy would be that of
recognising a photo again.
"""

import numpy as np

from app.arrays import Float32Array, IntArray

# Of 360 photos of waste, the most similar two different ones have a cosine of 0.90, and 99 % of the
# photos have 0.94 or more with their own mirror image (embeddings of MobileNetV2 1.0/224).
SAME_SCENE = 0.94
BLOCK = 512  # rows of the similarity matrix at a time


def unit(embeddings: Float32Array) -> Float32Array:
    """Embeddings [N, width] scaled to length 1, so that a product of two is their cosine."""
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def group_near_duplicates(units: Float32Array, threshold: float = SAME_SCENE) -> IntArray:
    """The group of each photo, [N], as the index of its first photo, of unit vectors [N, width].

    Photos are in one group if a chain of photos with a cosine of at least `threshold` connects
    them.
    """
    groups = np.arange(len(units))
    for begin in range(0, len(units), BLOCK):
        for similar in units[begin : begin + BLOCK] @ units.T >= threshold:
            found = groups[similar]
            first = found.min(initial=len(units))
            while len(found := found[found != first]):
                groups[groups == found[0]] = first
                found = found[found != found[0]]
    return groups
