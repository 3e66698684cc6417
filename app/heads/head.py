"""A head: classes of one's own, told apart by the embedding of a base model.

It is evaluated in NumPy, so the base runs once for any number of heads.
"""

from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array
from app.card.card import ModelCard

UNKNOWN = "unknown"  # the last class: an image that resembles nothing that was taught
# Width, as a cosine, of the step from known to unknown. An image is as likely unknown as not at the
# threshold, and surely unknown 0.03 below it.
STEP = 0.01


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier of unit embeddings, and the taught photos that reject what is unknown.

    card        of the model that it makes of its base: `base_sha256` names the file, `labels` the
                classes, and `unknown` last if there are references
    weights     [classes, width], divided by the temperature
    bias        [classes]
    references  unit embeddings [photos, width] of what was taught, as int8 with one scale; none
                where nothing can be unknown
    threshold   cosine to the nearest reference below which an image is unknown
    """

    card: ModelCard
    weights: Float32Array
    bias: Float32Array
    references: Float32Array
    threshold: float

    @property
    def base_name(self) -> str:
        """The name of the base when the head was taught; its file may have another one now."""
        [file] = self.card.origin.files
        return file.name.removesuffix(".onnx")

    @property
    def rejects(self) -> bool:
        return len(self.references) > 0

    def logits(self, embeddings: Float32Array) -> Float32Array:
        """Scores [N, classes] of embeddings [N, width] of the base; without `unknown`."""
        return _unit(embeddings) @ self.weights.T + self.bias

    def probabilities(self, embeddings: Float32Array) -> Float32Array:
        """Probabilities [N, labels] of embeddings [N, width] of the base.

        The classes share what `unknown` leaves.
        """
        units = _unit(embeddings)
        logits = units @ self.weights.T + self.bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        classes = exponentials / exponentials.sum(axis=1, keepdims=True)
        if not self.rejects:
            return np.asarray(classes, np.float32)
        similarity = (units @ self.references.T).max(axis=1, keepdims=True)
        unknown = 1 / (1 + np.exp(np.clip((similarity - self.threshold) / STEP, -80, 80)))
        return np.hstack([classes * (1 - unknown), unknown]).astype(np.float32)


def _unit(embeddings: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
