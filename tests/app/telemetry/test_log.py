"""Log lines: one a request, which cannot be forged, for people or for machines."""

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from app.telemetry.log import JsonFormatter, PlainFormatter, set_up
from app.telemetry.record import ImageRecord, Record
from app.telemetry.request_log import access, log_request

ANSWERED = Record(
    "id-1",
    "POST",
    "/predict",
    model="some_model",
    images=2,
    body_bytes=345,
    results=[ImageRecord(1.0, 1.5, 2.0), ImageRecord(0.2345, 0.5, 1.0)],
    status=200,
    ended_s=1_767_225_600.25,
    took_ms=7.891,
)


class _Keeper(logging.Handler):
    """Keeps every record."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """The access log's records, at level debug."""
    records: list[logging.LogRecord] = []
    handler = _Keeper(records)
    level = access.level
    access.addHandler(handler)
    access.setLevel(logging.DEBUG)
    yield records
    access.removeHandler(handler)
    access.setLevel(level)


def test_a_plain_line_has_all_that_a_request_was(lines: list[logging.LogRecord]) -> None:
    log_request(ANSWERED)
    line = PlainFormatter().format(lines[0])
    assert line.endswith(
        "INFO POST /predict 200 7.89 ms id=id-1 some_model images=2 bytes=345 queue=1.23 "
        "decode=2.0 inference=3.0"
    )


def test_a_json_line_is_an_object_with_units_in_its_names(lines: list[logging.LogRecord]) -> None:
    log_request(ANSWERED)
    line = json.loads(JsonFormatter().format(lines[0]))
    assert line.pop("time") == "2026-01-01T00:00:00.250+00:00"
    assert line.pop("message").startswith("POST /predict 200")
    assert line == {
        "level": "info",
        "id": "id-1",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "took_ms": 7.89,
        "model": "some_model",
        "images": 2,
        "body_bytes": 345,
        "queue_ms": 1.23,
        "decode_ms": 2.0,
        "inference_ms": 3.0,
    }


@pytest.mark.parametrize(
    "path", ["/a\n2026-01-01 INFO forged", "/\x1b[31mred", "/\u202eleft", "/\0"]
)
def test_a_path_cannot_forge_a_line(lines: list[logging.LogRecord], path: str) -> None:
    log_request(Record("id-1", "GET", path, status=404))
    for formatter in (PlainFormatter(), JsonFormatter()):
        assert formatter.format(lines[0]).isprintable()


def test_a_long_path_is_cut(lines: list[logging.LogRecord]) -> None:
    log_request(Record("id-1", "GET", "/" + 60_000 * "\U0001f600", status=404))
    for formatter in (PlainFormatter(), JsonFormatter()):
        assert len(formatter.format(lines[0])) < 6000


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/inference.GRPCInferenceService/ServerReady"],
)
def test_probes_and_scrapes_are_for_debugging(lines: list[logging.LogRecord], path: str) -> None:
    log_request(Record("id-1", "GET", path, status=200))
    assert lines[0].levelno == logging.DEBUG


def test_a_traceback_is_one_field_of_a_json_line() -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        record = logging.LogRecord("app", logging.ERROR, "x", 1, "failed", (), None)
        record.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


@pytest.mark.parametrize(("form", "kind"), [("json", JsonFormatter), ("plain", PlainFormatter)])
def test_the_settings_choose_form_and_level(form: Literal["json", "plain"], kind: type) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        set_up(form, "warning")
        [handler] = root.handlers
        assert isinstance(handler.formatter, kind)
        assert root.level == logging.WARNING
    finally:
        root.handlers = handlers
        root.setLevel(level)
