"""Metrics of cameras and the MQTT broker."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Sample = tuple[str, tuple[str, ...], float]  # name, values of the labels, value
CAMERA = ("camera",)
COUNTERS = {
    "camera_frames": ("Complete frames that arrived.", CAMERA),
    "camera_frames_unchanged": ("Frames that needed no inference: nothing had changed.", CAMERA),
    "camera_frames_dropped": ("Frames for which a newer one came or there was no time.", CAMERA),
    "camera_frames_failed": ("Frames that could not be classified.", CAMERA),
    "camera_reconnects": ("Attempts to connect to a camera after the first.", CAMERA),
    "mqtt_connections": ("Connections to the MQTT broker since the start.", ()),
    "mqtt_events_lost": ("Events that the MQTT broker was away or too slow for.", ()),
}
GAUGES = {
    "camera_connected": ("1 while frames arrive from the camera.", CAMERA),
    "camera_frame_age_seconds": ("Age of the camera's newest frame.", CAMERA),
    "mqtt_connected": ("1 while the MQTT broker is connected.", ()),
}


def _nothing() -> Iterable[Sample]:
    return ()


class CameraMetrics(Collector):
    """Read at each scrape; without samples until cameras or a broker are set."""

    def __init__(self) -> None:
        self.read: Callable[[], Iterable[Sample]] = _nothing

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
            name: CounterMetricFamily(f"gateway_{name}", text, labels=labels)
            for name, (text, labels) in COUNTERS.items()
        } | {
            name: GaugeMetricFamily(f"gateway_{name}", text, labels=labels)
            for name, (text, labels) in GAUGES.items()
        }
        for name, values, value in self.read():
            families[name].add_metric(values, value)
        yield from families.values()
