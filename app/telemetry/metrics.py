"""Prometheus metrics."""

from collections.abc import Iterable

from prometheus_client import (
    Counter,
    Gauge,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from app.card.card import ModelCard
from app.telemetry.busy_time import BusyTime
from app.telemetry.camera_metrics import CameraMetrics
from app.telemetry.request_counts import Labels, RequestCounts

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per metric, which nobody plots


class Metrics(RequestCounts):
    """All metrics of one application."""

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.captures = self._counts("captures", "Images to keep by outcome.", ("outcome",))
        self._registry.register(BusyTime(self.decode_seconds, self.inference_seconds))
        self.workers = self._gauge("workers", "Threads that decode and infer.")
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
        self.lone_image_threads = self._gauge(
            "lone_image_threads", "Threads that infer a lone image of the default model."
        )
        self.models = self._gauge(
            "model_info", "1 for each loaded model.", ("model", "family", "precision", "resolution")
        )
        self.multiply_adds = self._gauge("model_madds", "Multiply-adds for one image.", ("model",))
        self.parameters = self._gauge("model_params", "Parameters.", ("model",))
        self.cameras = CameraMetrics()
        self._registry.register(self.cameras)

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

    def _gauge(self, name: str, help_text: str, labels: Labels = ()) -> Gauge:
        return Gauge(f"gateway_{name}", help_text, labels, registry=self._registry)
