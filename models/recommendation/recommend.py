"""Which model of the zoo to fetch for a budget on this device, before anything is downloaded.

Costs are exact, from the definitions; times are predicted from them after a probe of the machine;
accuracy is what was published, or what the family's table says for a smaller resolution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.auto.limits import BYTES_PER_MB, STATIC, Limits, figure, keeps
from app.card.card import ModelCard, Precision
from app.card.cost_at import dial_layers
from app.card.variant import Variant, variants_of
from models.export.export import predict_file_bytes
from models.network.resolution import RESOLUTIONS
from models.recommendation.probe import Probe
from models.zoo.zoo import Entry

MOST_SIDE = 224  # of what is offered besides the trained resolution

# The most that the service takes with one model (VmHWM of the process), fitted to exports of our
# own under load on x86-64: what is there without a model, and what the model's file with one set
# of activations a worker takes of it. Integer graphs are unpacked for the processor.
SERVICE_BYTES = 108e6
TIMES_HELD: dict[Precision, float] = {"fp32": 2.1, "int8": 4.3}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the zoo at a resolution, and what it is expected to do here."""

    variant: Variant
    inference_ms: float
    decode_ms: float
    service_bytes: float  # the most that the whole service takes with this model alone

    @property
    def latency_ms(self) -> float:
        """One request with a photo of 1280 x 720 while nothing else runs."""
        return self.inference_ms + self.decode_ms

    def keeps(self, limits: Limits) -> bool:
        """Whether it is within all limits; `max_memory_mb` is of the service as a whole."""
        given = limits.given()
        latency_ms = given.pop("max_latency_ms", self.latency_ms)
        memory_mb = given.pop("max_memory_mb", self.service_bytes / BYTES_PER_MB)
        return (
            self.latency_ms <= latency_ms
            and self.service_bytes / BYTES_PER_MB <= memory_mb
            and all(keeps(name, value, self.variant) for name, value in given.items())
        )


def candidates(entries: Iterable[Entry], probe: Probe, workers: int) -> list[Candidate]:
    """Everything that the zoo offers with a known accuracy, most accurate first, then fastest."""
    found = []
    for entry in entries:
        card = entry.recipe.card(entry.precision)
        file_bytes = predict_file_bytes(entry.recipe, entry.precision)
        sides = [side for side in RESOLUTIONS if side <= MOST_SIDE]
        for variant in variants_of(card, file_bytes, sides):
            if variant.top1:
                found.append(_candidate(card, variant, probe, file_bytes, workers))
    return sorted(found, key=lambda each: (*each.variant.by_accuracy, each.latency_ms))


def recommend(offered: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    """What keeps the limits: the most accurate first, then each that is faster than all before."""
    kept: list[Candidate] = []
    for each in offered:
        if each.keeps(limits) and (not kept or each.latency_ms < kept[-1].latency_ms):
            kept.append(each)
    return kept


def nearest(offered: Sequence[Candidate], limits: Limits) -> str:
    """What is possible, where nothing keeps the limits: how far each could go alone."""
    ends = []
    for name in limits.given():
        sign = -1 if name.startswith("min") else 1
        best = min(offered, key=lambda each: sign * measure(name, each))
        ends.append(f"{name} {measure(name, best):.4g} ({best.variant.name})")
    return f"nothing in the zoo keeps these limits together; at best, each alone: {', '.join(ends)}"


def measure(name: str, candidate: Candidate) -> float:
    """What a limit is compared with."""
    if name == "max_latency_ms":
        return candidate.latency_ms
    if name == "max_memory_mb":
        return candidate.service_bytes / BYTES_PER_MB
    assert name in STATIC  # noqa: S101  there are no others
    return figure(name, candidate.variant)


def _candidate(
    card: ModelCard, variant: Variant, probe: Probe, file_bytes: int, workers: int
) -> Candidate:
    activation_bytes = variant.memory_bytes - file_bytes
    held = TIMES_HELD[variant.precision] * (file_bytes + workers * activation_bytes)
    return Candidate(
        variant=variant,
        inference_ms=probe.models[variant.precision].predict_ms(
            dial_layers(card, variant.resolution)
        ),
        decode_ms=probe.decode_ms,
        service_bytes=SERVICE_BYTES + held,
    )
