"""Whether this machine computes what an INT8 model computed where it was made.

The file has the embedding of a fixed image in its metadata. For MobileNetV2 1.0/224, kernels that
saturate (x86 without VNNI) miss it by 0.35 of its length. On ARM64, with and without `asimddp`, it
is the same as on x86 with VNNI; a graph that is not optimised computes in float and misses by 0.05.
"""

import base64
from collections.abc import Mapping
from random import Random

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.model.model import Model

SELF_TEST_KEY = "mobilenet_gateway_self_test"  # in `metadata_props`, beside the card
TOLERANCE = 0.15
TILES = 8  # along each side: strong edges and colours, which saturate more than a photo


def image(side: int) -> Uint8Array:
    """The fixed image, [1, side, side, 3]; the container has no numpy.random."""
    noise = Random(0).randbytes(TILES * TILES * 3)  # noqa: S311  no secret
    tiles = np.frombuffer(noise, np.uint8).reshape(TILES, TILES, 3)
    at = np.arange(side) * TILES // side
    return tiles[at][:, at][np.newaxis]


def encode(embedding: Float32Array) -> str:
    """The text for the metadata of the embedding [1, C] of the fixed image."""
    return base64.b64encode(embedding.astype("<f2").tobytes()).decode("ascii")


def deviation(embedding: Float32Array, text: str) -> float:
    """The distance of an embedding [1, C] from an encoded one, as a share of the latter's length.

    Raises:
        ValueError: the text is not an embedding of this width.
    """
    stored = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
    if stored.shape != embedding[0].shape or not stored.any():
        raise ValueError(f"{stored.size} values for an embedding of {embedding.shape[1]}")
    return float(np.linalg.norm(embedding[0] - stored) / np.linalg.norm(stored))


def obstacle(model: Model) -> str | None:
    """Why the answers of a loaded INT8 model cannot be trusted here; None if they can."""
    metadata: Mapping[str, str] = model.session.get_modelmeta().custom_metadata_map
    if SELF_TEST_KEY not in metadata:
        return "its file has no self-test"
    try:
        found = deviation(model.embedding(image(model.card.resolution)), metadata[SELF_TEST_KEY])
    except ValueError:
        return "the self-test of its file is not valid"
    if not found <= TOLERANCE:
        return f"its self-test failed on this machine: the answer differs by {found:.0%}"
    return None
