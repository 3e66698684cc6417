"""Counts and times of requests, updated with every answer."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app.telemetry.record import Record

Labels = tuple[str, ...]
# From 0.3 ms for the smallest network to a queue that is about to time out.
BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.2, 0.5, 1.0, 2.0,
)  # fmt: skip


class Counts(Collector):
    """A counter that is increased with every request: a dict takes a tenth of `Counter`'s time."""

    def __init__(self, name: str, help_text: str, labels: Labels) -> None:
        self._family = name, help_text, labels
        self.counts: defaultdict[Labels, int] = defaultdict(int)

    def collect(self) -> Iterator[Metric]:
        name, help_text, labels = self._family
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family


class Times(Collector):
    """A histogram by model, likewise."""

    def __init__(self, name: str, help_text: str) -> None:
        self._family = name, help_text
        self._models: dict[str, tuple[list[int], list[float]]] = {}

    def observe(self, model: str, time_ms: float) -> None:
        if model not in self._models:
            self._models[model] = [0] * (len(BUCKETS_S) + 1), [0.0]
        counts, sums = self._models[model]
        counts[bisect_left(BUCKETS_S, time_ms / 1000)] += 1
        sums[0] += time_ms / 1000

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(*self._family, labels=["model"])
        for model, (counts, [sum_s]) in self._models.items():
            edges = [*map(str, BUCKETS_S), "+Inf"]
            family.add_metric([model], list(zip(edges, accumulate(counts), strict=True)), sum_s)
        yield family


class RequestCounts:
    """What is known of a request when it is answered, by route and model."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counts(
            "requests", "Requests by route, method and status.", ("route", "method", "status")
        )
        self.images = self._counts(
            "images",
            "Images by model and outcome: ok, or the type of their error.",
            ("model", "outcome"),
        )
        self.queue_seconds = self._times("queue", "Time until a worker took the image.")
        self.decode_seconds = self._times("decode", "Decoding, cropping and resizing.")
        self.inference_seconds = self._times("inference", "The run of the model.")

    def observe(self, record: Record) -> None:
        """Count an answered request, its images and their times."""
        self.count_request(record.route, record.method, record.status)
        images, model = self.images.counts, record.model
        if record.error and record.images:
            images[model, record.error] += record.images
        for result in record.results:
            if result.error:
                images[model, result.error.type] += 1
                continue
            images[model, "ok"] += 1
            self.queue_seconds.observe(model, result.queue_ms)
            self.decode_seconds.observe(model, result.decode_ms)
            self.inference_seconds.observe(model, result.inference_ms)

    def count_request(self, route: str, method: str, status: int) -> None:
        """Count a request without a record, because it was not valid HTTP."""
        self.requests.counts[route, method, str(status)] += 1

    def _counts(self, name: str, help_text: str, labels: Labels) -> Counts:
        counts = Counts(f"gateway_{name}", help_text, labels)
        self._registry.register(counts)
        return counts

    def _times(self, name: str, help_text: str) -> Times:
        times = Times(f"gateway_{name}_seconds", help_text)
        self._registry.register(times)
        return times
