"""Prometheus metrics.

With PROMETHEUS_MULTIPROC_DIR set, several processes write to that folder and each of them reports
the sum of all (prometheus-client's multi-process mode).
"""

import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

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
    multiprocess,
)

from app.card.card import ModelCard
from app.errors import SettingError
from app.telemetry.record import Record

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
Labels = tuple[str, ...]
# From the smallest network's 0.3 ms to a queue that is about to time out.
BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.2, 0.5, 1.0, 2.0,
)  # fmt: skip


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series a metric, which nobody draws


class Totals(NamedTuple):
    """What one model has done since the start; times are sums over the answered images."""

    answered: int
    failed: int
    queue_s: float
    decode_s: float
    inference_s: float


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        """Register all of them.

        Raises:
            SettingError: the folder that several processes shall share is none.
        """
        self.shared = MULTIPROCESS_VARIABLE in os.environ
        if self.shared and not os.access(os.environ[MULTIPROCESS_VARIABLE], os.W_OK | os.X_OK):
            raise SettingError(
                f"{MULTIPROCESS_VARIABLE} names {os.environ[MULTIPROCESS_VARIABLE]!r}, "
                "which is not a folder that can be written"
            )
        self._described: set[tuple[Gauge, Labels]] = set()
        self._registry = registry = CollectorRegistry()
        if not self.shared:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self.requests = Counter(
            "gateway_requests_total",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.images = Counter(
            "gateway_images_total",
            "Images by model and outcome: ok, or the type of their error.",
            ["model", "outcome"],
            registry=registry,
        )
        self.queue_seconds = self._histogram("queue", "Time until a worker took the image.")
        self.decode_seconds = self._histogram("decode", "Decoding, cropping and resizing.")
        self.inference_seconds = self._histogram("inference", "The run of the model.")
        self.auto_images = Counter(
            "gateway_auto_images_total",
            "Images by the variant that model=auto chose.",
            ["model", "resolution"],
            registry=registry,
        )
        self.brownout_steps = Counter(
            "gateway_brownout_steps_total",
            "Steps of the brown-out, down to cheaper variants and up again.",
            ["way"],
            registry=registry,
        )
        self.brownout_step = self._gauge(
            "brownout_step", "Present step of the brown-out; 0 is none.", mode="livemax"
        )
        self.queue_depth = self._gauge("queue_images", "Images that wait for a worker.")
        self.permits = self._gauge("permits_in_use", "Images that wait or are worked on.")
        self.body_bytes = self._gauge("inflight_body_bytes", "Request bodies held in memory.")
        self.models = self._gauge(
            "model_info", "1 for each loaded model.", ("model", "family", "precision", "resolution")
        )
        self.multiply_adds = self._gauge("model_madds", "Multiply-adds for one image.", ("model",))
        self.parameters = self._gauge("model_params", "Parameters.", ("model",))

    def observe(self, record: Record) -> None:
        """Count a request that was answered, and its images with their times."""
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
        """Count a request that has no record, because it was none."""
        self.requests.labels(route, method, str(status)).inc()

    def totals(self, model: str) -> Totals:
        """Add up what this process counted for a model."""
        by_outcome = {
            sample.labels["outcome"]: int(sample.value)
            for family in self.images.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["model"] == model
        }
        answered = by_outcome.pop("ok", 0)
        histograms = (self.queue_seconds, self.decode_seconds, self.inference_seconds)
        spent = [
            sum(
                sample.value
                for family in histogram.collect()
                for sample in family.samples
                if sample.name.endswith("_sum") and sample.labels["model"] == model
            )
            for histogram in histograms
        ]
        return Totals(answered, sum(by_outcome.values()), *spent)

    def describe_models(self, cards: Iterable[ModelCard]) -> None:
        """Say which models are loaded, and forget those that are not any more."""
        values: dict[tuple[Gauge, Labels], float] = {}
        for card in cards:
            kind = (card.name, card.family, card.precision, str(card.resolution))
            values[self.models, kind] = 1
            values[self.multiply_adds, (card.name,)] = card.cost.madds
            values[self.parameters, (card.name,)] = card.cost.params
        for gauge, labels in self._described - values.keys():
            if self.shared:  # what lies in the shared folder cannot be taken back
                gauge.labels(*labels).set(0)
            else:
                gauge.remove(*labels)
        for (gauge, labels), value in values.items():
            gauge.labels(*labels).set(value)
        self._described = set(values)

    def families(self) -> Iterable[Metric]:
        """Every metric with its name, kind and help text."""
        return self._registry.collect()

    def render(self) -> bytes:
        """The text format of Prometheus."""
        if not self.shared:
            return generate_latest(self._registry)
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]  # has no types
        return generate_latest(merged)

    def close(self) -> None:
        """Take this process's gauges out of the sum."""
        if self.shared:
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # nor this

    def _histogram(self, name: str, help_text: str) -> Histogram:
        return Histogram(
            f"gateway_{name}_seconds",
            help_text,
            ["model"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def _gauge(
        self,
        name: str,
        help_text: str,
        labels: Labels = (),
        mode: Literal["livesum", "livemax"] | None = None,
    ) -> Gauge:
        """One that adds up over processes, or with labels says the same in each."""
        return Gauge(
            f"gateway_{name}",
            help_text,
            labels,
            registry=self._registry,
            multiprocess_mode=mode or ("livemax" if labels else "livesum"),
        )
