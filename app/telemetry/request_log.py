"""What was answered, entered in the log and the metrics a moment later and many at a time.

Code that runs once a request finds the processor's caches full of images and weights and takes
several times as long as code that runs on a hundred records in a row.
"""

import asyncio
import time
from typing import TYPE_CHECKING

from app.telemetry.log import log_request
from app.telemetry.metrics import Metrics
from app.telemetry.record import Record

if TYPE_CHECKING:
    from app.telemetry.tracing import Tracing

DELAY_S = 0.2


class Ledger:
    """Records that are still to be written; used by the event loop's thread only."""

    def __init__(self, metrics: Metrics, tracing: "Tracing | None" = None) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._records: list[Record] = []

    def enter(self, record: Record) -> None:
        """Take a record whose request has been answered just now."""
        record.ended_s = time.time()
        record.took_ms = (time.perf_counter() - record.began) * 1000
        self._records.append(record)
        if self._metrics.shared:  # another process may be the one that is scraped
            self.write()
        elif len(self._records) == 1:
            asyncio.get_running_loop().call_later(DELAY_S, self.write)

    def write(self) -> None:
        """Write all that was entered."""
        records, self._records = self._records, []
        for record in records:
            self._metrics.observe(record)
            log_request(record)
            if self._tracing:
                self._tracing.end(record)
