"""OpenTelemetry traces: a span for each request, in it queue, decode and inference of each image.

Needs the extra `otel`; only loaded if the setting `otlp_endpoint` names a collector. Requests join
the trace of their `traceparent` (W3C Trace Context), and answers say which span was theirs in
`traceresponse` (level 2 of it). The SDK's own variables hold, such as OTEL_TRACES_SAMPLER,
OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_HEADERS.
"""

import time
from dataclasses import dataclass
from http import HTTPStatus

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.service.auth import Headers
from app.telemetry.log import QUIET_ROUTES
from app.telemetry.record import Record

EXPORT_S = 3  # for one attempt; also the most that a stop waits for a collector that is away
CONTEXT_HEADERS = {b"traceparent", b"tracestate"}


@dataclass(slots=True)
class Trace:
    """The span of a request, and what its answer says of it."""

    span: Span
    began_ns: int
    response: bytes


class Tracing:
    """Makes the spans and has them sent, many at once, on a thread of the SDK's own."""

    def __init__(self, endpoint: str) -> None:
        named = Resource({"service.name": "mobilenet-gateway", "service.version": __version__})
        self._provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mobilenet-gateway", __version__)
        self._context = TraceContextTextMapPropagator()

    def begin(self, record: Record, headers: Headers) -> None:
        """Begin the span of a request, below its client's if that sent one; probes have none."""
        if record.path in QUIET_ROUTES:
            return
        sent = {
            name.decode(): value.decode("latin-1")
            for name, value in headers
            if name in CONTEXT_HEADERS
        }
        began_ns = time.time_ns()
        span = self._tracer.start_span(
            record.method, self._context.extract(sent), SpanKind.SERVER, start_time=began_ns
        )
        ids = span.get_span_context()
        response = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"
        record.trace = Trace(span, began_ns, response.encode())

    def end(self, record: Record) -> None:
        """End the span of a request that was answered, with what became of it."""
        trace = record.trace
        if trace is None:
            return
        span = trace.span
        if span.is_recording():
            self._describe(span, record)
            self._add_images(trace, record)
        span.end(trace.began_ns + _ns(record.took_ms))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _describe(self, span: Span, record: Record) -> None:
        """Name and attributes of OpenTelemetry's conventions for HTTP, and a few of our own."""
        span.update_name(f"{record.method} {record.route}")
        span.set_attributes(
            {
                "http.request.method": record.method,
                "http.route": record.route,
                "http.response.status_code": record.status,
                "http.request.body.size": record.body_bytes,
                "url.path": record.path,
                "gateway.request_id": record.id,
                "gateway.model": record.model,
                "gateway.images": record.images,
            }
        )
        if record.error:
            span.set_attribute("error.type", record.error)
        if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)

    def _add_images(self, trace: Trace, record: Record) -> None:
        """Three spans an image, one after the other, from when all were queued."""
        queued_ns = trace.began_ns + _ns((record.queued - record.began) * 1000)
        parent = set_span_in_context(trace.span)
        for number, result in enumerate(record.results):
            start_ns = queued_ns
            stages = (
                ("queue", result.queue_ms),
                ("decode", result.decode_ms),
                ("infer", result.inference_ms),
            )
            for name, took_ms in stages:
                span = self._tracer.start_span(
                    name, parent, attributes={"gateway.image": number}, start_time=start_ns
                )
                start_ns += _ns(took_ms)
                if result.error is not None and name == "decode":
                    span.set_status(StatusCode.ERROR, result.error.detail)
                span.end(start_ns)


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
