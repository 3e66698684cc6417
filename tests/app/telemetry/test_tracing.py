"""Traces as a collector gets them, from the real service."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, MEASURED, environment, failed_start, running, until

pytest.importorskip("opentelemetry.exporter.otlp", reason="needs the extra `otel`")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.trace import StatusCode

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


@dataclass(slots=True)
class Collector:
    """What came in, in order."""

    address: str
    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def of(self, trace: str) -> list[Any]:
        return [span for span in self.spans if span.trace_id.hex() == trace]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A receiver of OTLP over HTTP."""
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    named = {a.key: a.value.string_value for a in resource.resource.attributes}
                    collector.services.add(named["service.name"])
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    collector.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_is_a_span_of_its_clients_trace_with_its_stages_in_order(store: Path) -> None:
    with (
        collecting() as collector,
        running(
            store, default_model=SMALL_V1, measure_s=0, otlp_endpoint=collector.address, **QUICKLY
        ) as service,
        service.client({"traceparent": f"00-{TRACE}-{PARENT}-01"}) as client,
    ):
        answer = client.post("/predict", content=encode(noise()), headers={"X-Request-ID": "me"})
        until(lambda: len(collector.of(TRACE)) >= 4, "the spans arrive")
    spans = {span.name: span for span in collector.of(TRACE)}
    assert spans.keys() == {"POST /predict", "queue", "decode", "infer"}
    request = spans["POST /predict"]
    assert request.parent_span_id.hex() == PARENT
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    said = attributes(request)
    assert said["http.response.status_code"] == 200
    assert (said["gateway.model"], said["gateway.images"]) == (SMALL_V1, 1)
    assert said["gateway.request_id"] == "me"
    result = answer.json()["results"][0]
    at_ns = request.start_time_unix_nano
    for name, key in (("queue", "queue_ms"), ("decode", "decode_ms"), ("infer", "inference_ms")):
        span = spans[name]
        assert span.parent_span_id == request.span_id
        assert span.start_time_unix_nano >= at_ns
        at_ns = span.end_time_unix_nano
        took_ms = (at_ns - span.start_time_unix_nano) / 1e6
        assert took_ms == pytest.approx(result[key], abs=0.01)
    assert at_ns <= request.end_time_unix_nano
    assert collector.services == {"mobilenet-gateway"}


def test_errors_images_and_other_routes_are_seen_and_probes_are_not(store: Path) -> None:
    with (
        collecting() as collector,
        running(
            store,
            **MEASURED,
            default_model=SMALL_V1,
            measure_s=0,
            otlp_endpoint=collector.address,
            **QUICKLY,
        ) as service,
        service.client() as client,
    ):
        client.get("/readyz")
        client.get("/metrics")
        assert "traceresponse" in client.get("/models").headers
        client.post("/predict", content=b"no image")
        good = encode(noise())
        client.post("/predict", files=[("a", ("a", good)), ("b", ("b", b"no image"))])
        client.get("/models", headers={"traceparent": "not one"})
        until(
            lambda: sum(not span.parent_span_id for span in collector.spans) >= 4,
            "the spans arrive",
        )
        service.signal(15)
        assert service.wait() == 0
    roots = [span for span in collector.spans if not span.parent_span_id]
    names = [span.name for span in roots]
    assert sorted(names) == ["GET /models", "GET /models", "POST /predict", "POST /predict"]
    failed, several = (span for span in roots if span.name == "POST /predict")
    assert attributes(failed)["error.type"] == "not-an-image"
    below = [span for span in collector.spans if span.parent_span_id == several.span_id]
    images = sorted((attributes(span)["gateway.image"], span.name) for span in below)
    assert images == [(n, name) for n in (0, 1) for name in ("decode", "infer", "queue")]
    [bad] = [span for span in below if span.status.code == StatusCode.ERROR.value]
    assert (attributes(bad)["gateway.image"], bad.name) == (1, "decode")
    assert bad.status.message.startswith("Unrecognized image format")


def test_what_its_client_does_not_sample_is_not_sent(store: Path) -> None:
    with (
        collecting() as collector,
        running(
            store, default_model=SMALL_V1, measure_s=0, otlp_endpoint=collector.address, **QUICKLY
        ) as service,
        service.client() as client,
    ):
        answer = client.get("/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        assert answer.headers["traceresponse"].startswith(f"00-{TRACE}-")
        client.get("/models")
        until(lambda: collector.spans, "the other one arrives")
        assert not collector.of(TRACE)


def test_a_collector_that_is_away_delays_nothing_and_a_stop_only_a_little(store: Path) -> None:
    with (
        running(
            store,
            **MEASURED,
            default_model=SMALL_V1,
            measure_s=0,
            otlp_endpoint="http://127.0.0.1:9",
            **QUICKLY,
        ) as service,
        service.client() as client,
    ):
        assert client.post("/predict", content=encode(noise())).status_code == 200
        service.signal(15)
        assert service.wait() == 0


def test_off_the_sdk_is_not_even_loaded(store: Path) -> None:
    code = (
        "import sys; from app.service.gateway import open_gateway;"
        "from app.http.application import Application;"
        "from app.settings_sources import load_settings; settings = load_settings();"
        "Application(settings, open_gateway(settings));"
        "import app.http.server, app.http.fast_predict;"
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(store, default_model=SMALL_V1),
        timeout=LIVELINESS_S,
        check=False,
    )
    assert done.returncode == 0


def test_a_malformed_address_is_refused(store: Path) -> None:
    assert "otlp_endpoint" in failed_start(store, otlp_endpoint="collector:4318")
