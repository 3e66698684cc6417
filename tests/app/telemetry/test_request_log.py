"""Answered requests are written a moment later, in their order, and never lost or written twice."""

import asyncio
import logging
import time

import pytest

from app.telemetry.metrics import Metrics
from app.telemetry.record import Record
from app.telemetry.request_log import DELAY_S, RequestLog, access
from tests.processes import LIVELINESS_S, metric_of


def counted(metrics: Metrics) -> float:
    text = metrics.render().decode()
    if "gateway_requests_total{" not in text:
        return 0
    return metric_of(text, "gateway_requests_total", route="/predict", status="200")


def request(number: int) -> Record:
    return Record(f"id-{number}", "POST", "/predict", "/predict", status=200)


def test_records_are_written_by_themselves_in_their_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, access.name)
    metrics = Metrics()
    ledger = RequestLog(metrics)

    async def run() -> None:
        for number in range(3):
            ledger.add(request(number))
        assert counted(metrics) == 0
        await counted_up_to(3)
        ledger.add(request(3))
        await counted_up_to(4)

    async def counted_up_to(requests: int) -> None:
        async with asyncio.timeout(LIVELINESS_S):
            while counted(metrics) < requests:
                await asyncio.sleep(DELAY_S / 4)
        assert counted(metrics) == requests

    asyncio.run(run())
    written = [record.message.partition("id=")[2] for record in caplog.records]
    mine = [name for name in written if name.startswith("id-")]  # a service may still log its own
    assert mine == ["id-0", "id-1", "id-2", "id-3"]


def test_what_is_asked_for_now_is_written_now_and_only_once() -> None:
    metrics = Metrics()
    ledger = RequestLog(metrics)

    async def run() -> None:
        ledger.add(request(0))
        ledger.write()
        assert counted(metrics) == 1
        await asyncio.sleep(2 * DELAY_S)

    asyncio.run(run())
    ledger.write()
    assert counted(metrics) == 1


def test_a_record_says_when_and_how_long() -> None:
    record = request(0)

    async def run() -> None:
        await asyncio.sleep(0.02)
        RequestLog(Metrics()).add(record)

    before_s = time.time()
    asyncio.run(run())
    assert 20 <= record.took_ms <= (time.perf_counter() - record.began) * 1000
    assert before_s <= record.ended_s <= time.time()
