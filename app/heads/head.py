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
MAX_STEPS = 80  # beyond, the exponential overflows


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier of unit embeddings, and the taught photos that reject what is unknown.

    card        of the model that it makes of its base: `base_sha256` names the file, `labels` the
                classes, and `unknown` last if there are references
    weights     [classes, width], divided by the temperature
    bias        [classes]
    references  unit embeddings [photos, width] of some that were taught, as int8 with one scale;
                none where nothing can be unknown
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
        return to_units(embeddings) @ self.weights.T + self.bias

    def probabilities(self, embeddings: Float32Array) -> Float32Array:
        """Probabilities [N, labels] of embeddings [N, width] of the base.

        The classes share what `unknown` leaves.
        """
        return self.of_units(to_units(embeddings))

    def of_units(self, units: Float32Array) -> Float32Array:
        """The same of embeddings of length 1, which several heads share."""
        logits = units @ self.weights.T + self.bias
        classes = np.exp(logits - logits.max(axis=1, keepdims=True))
        classes /= classes.sum(axis=1, keepdims=True)
        if not self.rejects:
            return np.asarray(classes, np.float32)
        similarity = (units @ self.references.T).max(axis=1, keepdims=True)
        steps = np.minimum((similarity - self.threshold) / STEP, MAX_STEPS)
        unknown = 1 / (1 + np.exp(steps))
        return np.asarray(np.concatenate([classes * (1 - unknown), unknown], axis=1), np.float32)


def to_units(embeddings: Float32Array) -> Float32Array:
    """Embeddings [N, width] scaled to length 1."""
    lengths = np.sqrt(np.einsum("nw,nw->n", embeddings, embeddings))
    floor = np.finfo(np.float32).tiny
    return np.asarray(embeddings / np.maximum(lengths, floor)[:, np.newaxis], np.float32)
