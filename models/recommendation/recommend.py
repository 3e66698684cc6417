"""Recommend models of the zoo for this device before anything is downloaded.

Costs are exact, from the definitions. Times are predicted from them after a probe of the machine.
Accuracy is the published one, or derived from the family's published figures for a smaller
resolution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller

from app.card.card import ModelCard, Precision
from app.card.cost_at import scaled_layers
from app.card.variant import Variant, variants_of
from models.export.export import predict_file_bytes
from models.network.resolution import RESOLUTIONS
from models.recommendation.limits import RecommendationLimits
from models.recommendation.probe import Probe
from models.zoo.zoo import Entry

BYTES_PER_MB = 1_000_000
MAX_SMALLER_RESOLUTION = 224  # besides the trained resolution

# Peak memory of the service with one model (VmHWM of the process), fitted to exports of this
# project under load on x86-64: a constant, and multiples of the model's file with one set of
# activations per worker. onnxruntime repacks integer weights for the processor.
BASE_SERVICE_BYTES = 108e6
MEMORY_FACTORS: dict[Precision, float] = {"fp32": 2.1, "int8": 4.3}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the zoo at a resolution, with its predicted figures on this machine."""

    variant: Variant
    inference_ms: float
    decode_ms: float
    service_bytes: float  # peak of the whole service with this model alone

    @property
    def latency_ms(self) -> float:
        """One request with a photo of 1280 x 720 on an idle machine."""
        return self.inference_ms + self.decode_ms

    def value(self, limit: str) -> float:
        """The figure that a limit applies to."""
        match limit:
            case "max_latency_ms":
                return self.latency_ms
            case "max_service_memory_mb":
                return self.service_bytes / BYTES_PER_MB
            case "max_madds":
                return self.variant.madds
            case "max_params":
                return self.variant.params
            case _:
                assert self.variant.top1 is not None  # noqa: S101  `candidates` has no others
                return self.variant.top1.percent

    def meets(self, limits: RecommendationLimits) -> bool:
        """Whether the candidate is within all limits."""
        return all(
            self.value(name) >= limit if name.startswith("min") else self.value(name) <= limit
            for name, limit in limits.given().items()
        )


def candidates(entries: Iterable[Entry], probe: Probe, workers: int) -> list[Candidate]:
    """All models of the zoo with a known accuracy, most accurate first, then fastest."""
    found = []
    for entry in entries:
        card = entry.recipe.card(entry.precision)
        file_bytes = predict_file_bytes(entry.recipe, entry.precision)
        sides = [side for side in RESOLUTIONS if side <= MAX_SMALLER_RESOLUTION]
        for variant in variants_of(card, file_bytes, sides):
            if variant.top1:
                found.append(_candidate(card, variant, probe, file_bytes, workers))
    return sorted(found, key=lambda each: (*each.variant.by_accuracy, each.latency_ms))


def recommend(offered: Sequence[Candidate], limits: RecommendationLimits) -> list[Candidate]:
    """The most accurate candidate within the limits, then each that is faster than all before."""
    chosen: list[Candidate] = []
    for each in offered:
        if each.meets(limits) and (not chosen or each.latency_ms < chosen[-1].latency_ms):
            chosen.append(each)
    return chosen


def best_for_each_limit(
    offered: Sequence[Candidate], limits: RecommendationLimits
) -> dict[str, Candidate]:
    """The best candidate by the figure of each limit alone, ignoring the other limits."""
    return {
        name: (max if name.startswith("min") else min)(offered, key=methodcaller("value", name))
        for name in limits.given()
    }


def _candidate(
    card: ModelCard, variant: Variant, probe: Probe, file_bytes: int, workers: int
) -> Candidate:
    activation_bytes = variant.memory_bytes - file_bytes
    model_bytes = file_bytes + workers * activation_bytes
    return Candidate(
        variant=variant,
        inference_ms=probe.models[variant.precision].predict_ms(
            scaled_layers(card, variant.resolution)
        ),
        decode_ms=probe.decode_ms,
        service_bytes=BASE_SERVICE_BYTES + MEMORY_FACTORS[variant.precision] * model_bytes,
    )
