"""Which images are kept: those that a model is unsure of or does not know, and a random few."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from app.arrays import Float32Array
from app.capture.folder import Reason
from app.heads.head import UNKNOWN
from app.inference.head_group import HeadGroup
from app.model.model import Model
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason to keep an image: the probabilities [classes] that a model gave it."""

    reason: Reason
    model: Model
    probabilities: Float32Array


@dataclass(frozen=True, slots=True)
class CaptureRule:
    """The settings `capture_below`, `capture_unknown` and `capture_audit_rate`."""

    below: float
    unknown: bool
    audit_rate: float

    @classmethod
    def from_settings(cls, settings: Settings) -> "CaptureRule":
        return cls(settings.capture_below, settings.capture_unknown, settings.capture_audit_rate)

    def apply(self, model: Model, probabilities: Float32Array) -> Finding | None:
        """The best reason to keep an image, if there is one; of several heads, the first's."""
        answers = list(_answers(model, probabilities))
        if self.unknown:
            for one, values in answers:
                if one.card.labels[values.argmax()] == UNKNOWN:
                    return Finding("unknown", one, values)
        for one, values in answers:
            if values.max() < self.below:
                return Finding("uncertain", one, values)
        if self.audit_rate and random.random() < self.audit_rate:  # noqa: S311  no secret
            return Finding("audit", *answers[0])
        return None


def _answers(model: Model, probabilities: Float32Array) -> Iterable[tuple[Model, Float32Array]]:
    if isinstance(model, HeadGroup):
        return model.by_head(probabilities)
    return [(model, probabilities)]
