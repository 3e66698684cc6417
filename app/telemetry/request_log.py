"""Log lines, metrics and traces of answered requests, written in batches a moment later.

Code that runs once per request finds the processor's caches full of pixels and weights and takes
several times as long as the same code over a hundred records in a row.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from app import paths
from app.telemetry.metrics import Metrics
from app.telemetry.record import Record

if TYPE_CHECKING:
    from app.telemetry.tracing import Tracing

access = logging.getLogger("app.access")
DELAY_S = 0.2
MAX_PATH_CHARS = 200


class RequestLog:
    """Records that are not written yet; used by the event loop's thread only."""

    def __init__(self, metrics: Metrics, tracing: "Tracing | None" = None) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        record.ended_s = time.time()
        record.took_ms = (time.perf_counter() - record.began) * 1000
        self._records.append(record)
        if len(self._records) == 1:
            asyncio.get_running_loop().call_later(DELAY_S, self.write)

    def write(self) -> None:
        """Write every record that was added since the last call."""
        records, self._records = self._records, []
        for record in records:
            self._metrics.observe(record)
            log_request(record)
            if self._tracing:
                self._tracing.end(record)


def log_request(record: Record) -> None:
    """Log one request; probes and scrapes only at debug level."""
    path = record.path[:MAX_PATH_CHARS]
    level = logging.DEBUG if path in paths.QUIET else logging.INFO
    if not access.isEnabledFor(level):
        return
    results = record.results
    times = {
        "queue_ms": round(sum([result.queue_ms for result in results]), 2),
        "decode_ms": round(sum([result.decode_ms for result in results]), 2),
        "inference_ms": round(sum([result.inference_ms for result in results]), 2),
    }
    fields = {
        "id": record.id,
        "method": record.method,
        "path": path,
        "status": record.status,
        "took_ms": round(record.took_ms, 2),
        "model": record.model,
        "images": record.images,
        "body_bytes": record.body_bytes,
        **times,
    }
    printable = path if path.isprintable() else ascii(path)[1:-1]  # a newline would forge a line
    message = f"{record.method} {printable} {record.status} {fields['took_ms']} ms id={record.id}"
    if record.model:
        message += (
            f" {record.model} images={record.images} bytes={record.body_bytes}"
            f" queue={times['queue_ms']} decode={times['decode_ms']}"
            f" inference={times['inference_ms']}"
        )
    line = access.makeRecord(access.name, level, "", 0, message, (), None, extra={"fields": fields})
    line.created = record.ended_s
    access.handle(line)
