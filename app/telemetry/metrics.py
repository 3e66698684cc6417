"""Prometheus metrics."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from app.card.card import ModelCard
from app.telemetry.record import Record

Labels = tuple[str, ...]
# From 0.3 ms for the smallest network to a queue that is about to time out.
BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.2, 0.5, 1.0, 2.0,
)  # fmt: skip


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per metric, which nobody plots


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.requests = self._counter(
            "requests_total", "Requests by route, method and status.", ("route", "method", "status")
        )
        self.images = self._counter(
            "images_total",
            "Images by model and outcome: ok, or the type of their error.",
            ("model", "outcome"),
        )
        self.queue_seconds = self._histogram("queue", "Time until a worker took the image.")
        self.decode_seconds = self._histogram("decode", "Decoding, cropping and resizing.")
        self.inference_seconds = self._histogram("inference", "The run of the model.")
        self.auto_images = self._counter(
            "auto_images_total",
            "Images by the variant that model=auto chose.",
            ("model", "resolution"),
        )
        self.brownout_steps = self._counter(
            "brownout_steps_total",
            "Steps of the brown-out, down to cheaper variants and up again.",
            ("way",),
        )
        self.brownout_step = self._gauge(
            "brownout_step", "Present step of the brown-out; 0 is none."
        )
        self.queue_depth = self._gauge(
            "queue_images", "Images that wait for a worker or the helper process."
        )
        self.permits = self._gauge("permits_in_use", "Images that wait or are worked on.")
        self.body_bytes = self._gauge("inflight_body_bytes", "Request bodies held in memory.")
        self.models = self._gauge(
            "model_info", "1 for each loaded model.", ("model", "family", "precision", "resolution")
        )
        self.multiply_adds = self._gauge("model_madds", "Multiply-adds for one image.", ("model",))
        self.parameters = self._gauge("model_params", "Parameters.", ("model",))

    def observe(self, record: Record) -> None:
        """Count an answered request, its images and their times."""
        self.count_request(record.route, record.method, record.status)
        if record.error and record.images:
            self.images.labels(record.model, record.error).inc(record.images)
        for result in record.results:
            if result.error:
                self.images.labels(record.model, result.error.type).inc()
                continue
            self.images.labels(record.model, "ok").inc()
            self.queue_seconds.labels(record.model).observe(result.queue_ms / 1000)
            self.decode_seconds.labels(record.model).observe(result.decode_ms / 1000)
            self.inference_seconds.labels(record.model).observe(result.inference_ms / 1000)

    def count_request(self, route: str, method: str, status: int) -> None:
        """Count a request without a record, because it was not valid HTTP."""
        self.requests.labels(route, method, str(status)).inc()

    def describe_models(self, cards: Iterable[ModelCard]) -> None:
        """Publish the loaded models, and drop those that are gone."""
        for gauge in (self.models, self.multiply_adds, self.parameters):
            gauge.clear()
        for card in cards:
            kind = (card.name, card.family, card.precision, str(card.resolution))
            self.models.labels(*kind).set(1)
            self.multiply_adds.labels(card.name).set(card.cost.madds)
            self.parameters.labels(card.name).set(card.cost.params)

    def families(self) -> Iterable[Metric]:
        """Every metric with its name, kind and help text."""
        return self._registry.collect()

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, labels: Labels) -> Counter:
        return Counter(f"gateway_{name}", help_text, labels, registry=self._registry)

    def _histogram(self, name: str, help_text: str) -> Histogram:
        name = f"gateway_{name}_seconds"
        return Histogram(name, help_text, ["model"], buckets=BUCKETS_S, registry=self._registry)

    def _gauge(self, name: str, help_text: str, labels: Labels = ()) -> Gauge:
        return Gauge(f"gateway_{name}", help_text, labels, registry=self._registry)
