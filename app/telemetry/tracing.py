"""OpenTelemetry traces: one span per request, with queue, decode and inference of each image.

Needs the extra `otel`; imported only if the setting `otlp_endpoint` names a collector. A request
joins the trace of its `traceparent` header, and its answer names its span in `traceresponse` (W3C
Trace Context, levels 1 and 2). The SDK's own variables apply, such as OTEL_TRACES_SAMPLER,
OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_HEADERS.
"""

import time
from http import HTTPStatus

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.paths import QUIET
from app.telemetry.record import Record, Trace
from app.wire import Headers

EXPORT_S = 3  # per attempt; also the longest that shutdown waits for an unreachable collector
CONTEXT_HEADERS = {b"traceparent", b"tracestate"}


class Tracing:
    """Creates spans, which a thread of the SDK sends in batches."""

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
        """Start the span of a request, as a child of the client's; probes get none."""
        if record.path in QUIET:
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
        if trace := record.trace:
            if trace.span.is_recording():
                _describe(trace.span, record)
                self._add_images(trace, record)
            trace.span.end(trace.began_ns + _ns(record.took_ms))

    def close(self) -> None:
        """Send the remaining spans."""
        self._provider.shutdown()

    def _add_images(self, trace: Trace, record: Record) -> None:
        """Add three consecutive spans per image, starting when all images were queued."""
        queued_ns = trace.began_ns + _ns((record.queued - record.began) * 1000)
        parent = set_span_in_context(trace.span)
        for number, result in enumerate(record.results):
            start_ns = queued_ns
            took_ms = (result.queue_ms, result.decode_ms, result.inference_ms)
            for name, stage_ms in zip(("queue", "decode", "infer"), took_ms, strict=True):
                span = self._tracer.start_span(
                    name, parent, attributes={"gateway.image": number}, start_time=start_ns
                )
                start_ns += _ns(stage_ms)
                if result.error is not None and name == "decode":
                    span.set_status(StatusCode.ERROR, result.error.detail)
                span.end(start_ns)


def _describe(span: Span, record: Record) -> None:
    """Set the name and attributes of OpenTelemetry's HTTP conventions, and our own."""
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


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
