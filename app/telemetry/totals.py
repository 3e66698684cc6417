"""What each model has answered since the start, added up from the metrics."""

from typing import NamedTuple

from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from app.telemetry.metrics import Metrics


class Totals(NamedTuple):
    """What one model has answered since the start; times are sums over its images."""

    answered: int
    failed: int
    queue_s: float
    decode_s: float
    inference_s: float


def totals(metrics: Metrics, model: str) -> Totals:
    """Add up the counts and times of a model."""
    images = _samples(metrics.images, "_total", model)
    by_outcome = {sample.labels["outcome"]: int(sample.value) for sample in images}
    answered = by_outcome.pop("ok", 0)
    histograms = (metrics.queue_seconds, metrics.decode_seconds, metrics.inference_seconds)
    spent = [
        sum(sample.value for sample in _samples(histogram, "_sum", model))
        for histogram in histograms
    ]
    return Totals(answered, sum(by_outcome.values()), *spent)


def _samples(metric: Collector, ending: str, model: str) -> list[Sample]:
    return [
        sample
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith(ending) and sample.labels["model"] == model
    ]
