"""Recommend models of the zoo for this device before anything is downloaded.

Costs are exact, from the definitions. Times are predicted from them after a probe of the machine.
Accuracy is the published one, or derived from the family's published figures for a smaller
resolution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller

from pydantic import BaseModel, Field

from app.card.card import Precision
from app.card.cost_at import scaled_layers
from app.card.variant import Variant, variants_of
from models.export.export import predict_file_bytes
from models.network.resolution import RESOLUTIONS
from models.recommendation.probe import Probe
from models.zoo.zoo import Entry

MAX_SMALLER_RESOLUTION = 224  # besides the trained resolution

# Peak memory of the service with one model (VmHWM of the process), fitted to exports of this
# project under load on x86-64: a constant, and multiples of the model's file with one set of
# activations per worker. onnxruntime repacks integer weights for the processor.
BASE_SERVICE_BYTES = 108e6
MEMORY_FACTORS: dict[Precision, float] = {"fp32": 2.1, "int8": 4.3}


class RecommendationLimits(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """Limits on a model at a resolution; None means no limit.

    max_latency_ms         one request with a photo of 1280 x 720, decoded and classified
    max_service_memory_mb  peak memory of the whole service process, unlike `max_memory_mb` of
                           `model=auto`, which counts weights and activations
    max_madds, max_params  multiply-adds for one image, parameters
    min_top1               top-1 accuracy in percent
    """

    max_latency_ms: float | None = Field(None, gt=0)
    max_service_memory_mb: float | None = Field(None, gt=0)
    max_madds: int | None = Field(None, gt=0)
    max_params: int | None = Field(None, gt=0)
    min_top1: float | None = Field(None, ge=0, le=100)

    def given(self) -> dict[str, float]:
        return self.model_dump(exclude_none=True)


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
        assert self.variant.top1 is not None  # noqa: S101  `candidates` has no others
        return {
            "max_latency_ms": self.latency_ms,
            "max_service_memory_mb": self.service_bytes / 1e6,
            "max_madds": self.variant.madds,
            "max_params": self.variant.params,
            "min_top1": self.variant.top1.percent,
        }[limit]

    def meets(self, limits: RecommendationLimits) -> bool:
        return all(
            self.value(name) >= limit if name.startswith("min") else self.value(name) <= limit
            for name, limit in limits.given().items()
        )


def candidates(entries: Iterable[Entry], probe: Probe, workers: int) -> list[Candidate]:
    """All models of the zoo with a known accuracy, most accurate first, then fastest."""
    sides = [side for side in RESOLUTIONS if side <= MAX_SMALLER_RESOLUTION]
    found = []
    for entry in entries:
        card = entry.recipe.card(entry.precision)
        file_bytes = predict_file_bytes(entry.recipe, entry.precision)
        for variant in variants_of(card, file_bytes, sides):
            if variant.top1 is None:
                continue
            layers = scaled_layers(card, variant.resolution)
            model_bytes = file_bytes + workers * (variant.memory_bytes - file_bytes)
            candidate = Candidate(
                variant,
                inference_ms=probe.models[entry.precision].predict_ms(layers),
                decode_ms=probe.decode_ms,
                service_bytes=BASE_SERVICE_BYTES + MEMORY_FACTORS[entry.precision] * model_bytes,
            )
            found.append(candidate)
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
