"""One method of quantization, tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.quantization.agreement import Agreement
from models.quantization.methods import Method

# The simpler method is preferred unless the divergence falls below this share of its own.
REQUIRED_IMPROVEMENT = 0.95


@dataclass(frozen=True, slots=True)
class Trial:
    """A method, and how it compares with the float model."""

    method: Method
    result: Agreement

    def as_data(self) -> dict[str, Any]:
        return {
            "method": self.method.name,
            "compared_images": self.result.images,
            "top1_agreement": round(100 * self.result.top1_agreement, 2),
            "probability_difference": round(self.result.probability_difference, 5),
            "divergence": round(self.result.divergence, 5),
        }


def choose_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of the simplest method that no later one clearly improves on."""
    best = trials[0]
    for trial in trials[1:]:
        if trial.result.divergence < REQUIRED_IMPROVEMENT * best.result.divergence:
            best = trial
    return best
