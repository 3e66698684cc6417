"""Log lines: plain for people, JSON for machines; one for each request."""

import json
import logging
import sys
from datetime import UTC, datetime

from app.service.auth import OPEN_PATHS
from app.settings import Settings
from app.telemetry.record import Record

access = logging.getLogger("app.access")
QUIET_ROUTES = {*OPEN_PATHS, "/metrics"}  # asked every few seconds: debug only


class PlainFormatter(logging.Formatter):
    """`2026-01-31 12:00:00 info message`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a request's fields stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(settings: Settings) -> None:
    """Send everything to standard error in the form that the settings ask for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else PlainFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # warns of what clients send


def log_request(record: Record) -> None:
    """Write the line of one request."""
    path = record.path
    level = logging.DEBUG if path in QUIET_ROUTES else logging.INFO
    if not access.isEnabledFor(level):
        return
    times = {
        name: round(sum(getattr(result, name) for result in record.results), 2)
        for name in ("queue_ms", "decode_ms", "inference_ms")
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
    shown = path if path.isprintable() else ascii(path)[1:-1]  # a newline would forge a line
    message = f"{record.method} {shown} {record.status} {fields['took_ms']} ms id={record.id}"
    if record.model:
        message += (
            f" {record.model} images={record.images} bytes={record.body_bytes}"
            f" queue={times['queue_ms']} decode={times['decode_ms']}"
            f" inference={times['inference_ms']}"
        )
    line = access.makeRecord(access.name, level, "", 0, message, (), None, extra={"fields": fields})
    line.created = record.ended_s
    access.handle(line)
