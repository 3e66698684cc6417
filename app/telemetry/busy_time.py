"""How busy the workers are: what an autoscaler goes by."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class BusyTime(Collector):
    """The sum of histograms over all models, as a counter that is there from the start.

    Its rate divided by `gateway_workers` is the share of time that the workers are busy. The
    histograms have no series before the first image, and an autoscaler takes that for a fault.
    """

    def __init__(self, *times: Collector) -> None:
        self._times = times

    def collect(self) -> Iterator[Metric]:
        samples = (
            sample for times in self._times for family in times.collect()
            for sample in family.samples
        )  # fmt: skip
        yield CounterMetricFamily(
            "gateway_worker_busy_seconds",
            "Time that the workers spent on decoding and inference.",
            value=sum(sample.value for sample in samples if sample.name.endswith("_sum")),
        )
