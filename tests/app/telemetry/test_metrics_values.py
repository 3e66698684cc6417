"""Known times and counts arrive in every figure that is made of them, in its unit."""

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.arrays import Uint8Array
from app.errors import NotAnImage
from app.inference.helper_decode import Decoded
from app.oip.metadata import model_statistics
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.record import ImageRecord, Record
from app.telemetry.request_log import access, log_request
from tests.app.inference.test_scheduler import blocked, scheduling
from tests.app.sample_images import cat, encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, metric_of

# In milliseconds, each as large as no other: 1.5 s, 40 ms, 3 ms, and a fifth of that.
SLOW = ImageRecord(queue_ms=1500.0, decode_ms=40.0, inference_ms=3.0)
FAST = ImageRecord(queue_ms=300.0, decode_ms=8.0, inference_ms=0.6)
FAILED = ImageRecord(0.0, 0.0, 0.0, NotAnImage("no image"))
TOTAL_S = {"queue": 1.8, "decode": 0.048, "inference": 0.0036}


def answered(*images: ImageRecord, model: str = "m") -> Record:
    return Record(
        "id", "POST", "/predict", "/predict", model=model, images=len(images), results=images,
        status=200, body_bytes=12_345, took_ms=1545.678, ended_s=1_700_000_000.0,
    )  # fmt: skip


def observed(*records: Record) -> str:
    metrics = Metrics()
    for record in records:
        metrics.observe(record)
    return metrics.render().decode()


@pytest.mark.parametrize("stage", TOTAL_S)
def test_every_histogram_is_in_seconds(stage: str) -> None:
    text = observed(answered(SLOW, FAILED), answered(FAST), answered(SLOW, model="other"))
    name = f"gateway_{stage}_seconds"
    assert metric_of(text, f"{name}_sum", model="m") == pytest.approx(TOTAL_S[stage])
    assert metric_of(text, f"{name}_count", model="m") == 2
    for one in (SLOW, FAST):
        seconds = getattr(one, f"{stage}_ms") / 1000
        below, at = neighbours(text, f"{name}_bucket", seconds)
        assert below < at


def test_the_busy_time_is_that_of_all_models_and_starts_at_zero() -> None:
    name = "gateway_worker_busy_seconds_total"
    assert metric_of(observed(), name) == 0
    text = observed(answered(SLOW, FAILED), answered(FAST), answered(SLOW, model="other"))
    assert metric_of(text, name) == pytest.approx(0.040 + 0.003 + 0.008 + 0.0006 + 0.040 + 0.003)


def neighbours(text: str, name: str, value: float) -> tuple[float, float]:
    """The counts of the buckets below a value and around it."""
    pairs = re.findall(rf'^{name}\{{le="([^"]+)",model="m"\}} (\S+)$', text, re.MULTILINE)
    counts = {float(edge): float(count) for edge, count in pairs}
    at = min(edge for edge in counts if edge >= value)
    return max((counts[edge] for edge in counts if edge < at), default=0.0), counts[at]


def test_images_are_counted_by_what_became_of_them() -> None:
    failed = answered()
    failed.status, failed.error, failed.images = 504, "deadline-exceeded", 7
    early = answered()
    early.status, early.error = 503, "overloaded"  # before its images were known
    text = observed(answered(SLOW, FAILED, FAST), failed, early)
    found = re.findall(r'^gateway_images_total\{model="m",outcome="(.+)"\} (\S+)$', text, re.M)
    assert {outcome: float(count) for outcome, count in found} == {
        "ok": 2, "not-an-image": 1, "deadline-exceeded": 7,
    }  # fmt: skip
    for status in ("200", "503", "504"):
        assert metric_of(text, "gateway_requests_total", status=status) == 1
    for stage in TOTAL_S:  # nothing else has a time
        assert metric_of(text, f"gateway_{stage}_seconds_count") == 2


def test_statistics_are_in_nanoseconds() -> None:
    @dataclass
    class Named:
        name: str = "m"

    metrics = Metrics()
    metrics.observe(answered(SLOW, FAILED, FAST))
    [stats] = model_statistics(metrics, [Named()])["model_stats"]  # type: ignore[list-item]  # a name is all it needs
    assert stats["inference_count"] == 2
    assert stats["inference_stats"] == {
        "success": {"count": 2, "ns": 1_851_600_000},
        "fail": {"count": 1, "ns": 0},
        "queue": {"count": 2, "ns": 1_800_000_000},
        "compute_input": {"count": 2, "ns": 48_000_000},
        "compute_infer": {"count": 2, "ns": 3_600_000},
    }


def test_a_line_of_the_log_sums_up_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, access.name)
    log_request(answered(SLOW, FAILED, FAST))
    [line] = [one for one in caplog.records if one.name == access.name]
    assert line.getMessage() == (
        "POST /predict 200 1545.68 ms id=id m images=3 bytes=12345"
        " queue=1800.0 decode=48.0 inference=3.6"
    )
    assert line.fields == {  # type: ignore[attr-defined]  # of this project's formatters
        "id": "id", "method": "POST", "path": "/predict", "status": 200, "took_ms": 1545.68,
        "model": "m", "images": 3, "body_bytes": 12_345,
        "queue_ms": 1800.0, "decode_ms": 48.0, "inference_ms": 3.6,
    }  # fmt: skip


def test_the_time_in_the_queue_is_that_between_queuing_and_starting() -> None:
    """It lies between two spans that the test measures around it."""
    seen: list[tuple[float, float]] = []

    async def run() -> tuple[float, float, float]:
        with scheduling() as scheduler:
            blocker, first = await blocked(scheduler)
            before = time.perf_counter()
            ticket = scheduler.submit([lambda queue_ms: seen.append((queue_ms, now()))])
            after = time.perf_counter()
            await asyncio.sleep(0.02)
            released = time.perf_counter()
            blocker.let_go()
            await first
            await ticket
            return before, after, released

    now = time.perf_counter
    before, after, released = asyncio.run(run())
    [(queue_ms, began)] = seen
    assert (released - after) * 1000 <= queue_ms <= (began - before) * 1000


@pytest.mark.parametrize(
    ("model", "image_format"), [(SMALL_V1, "JPEG"), (SMALL_V2, "PNG"), (SMALL_V2, "GIF")]
)
def test_the_times_of_an_answer_are_those_of_its_metrics(
    client: httpx.Client, model: str, image_format: str
) -> None:
    """Of an image that a worker decodes, and of one that the helper process does."""
    image = encode(noise(), image_format)

    def sums() -> dict[str, float]:
        text = client.get("/metrics").text
        return {
            stage: metric_of(text, f"gateway_{stage}_seconds_sum", model=model) for stage in TOTAL_S
        }

    before = sums()
    began = time.perf_counter()
    answer = client.post("/predict", params={"model": model}, files=[("a", image)] * 5).json()
    took_ms = (time.perf_counter() - began) * 1000
    after = sums()
    for stage in TOTAL_S:
        told_ms = [result[f"{stage}_ms"] for result in answer["results"]]
        assert after[stage] - before[stage] == pytest.approx(sum(told_ms) / 1000)
    for result in answer["results"]:
        assert sum(result[f"{stage}_ms"] for stage in TOTAL_S) <= took_ms


def test_pixels_of_the_open_inference_protocol_take_no_time_to_decode(
    client: httpx.Client,
) -> None:
    names = ["gateway_decode_seconds_sum", "gateway_inference_seconds_sum"]
    names += ["gateway_inference_seconds_count", "gateway_queue_seconds_count"]

    def figures() -> list[float]:
        text = client.get("/metrics").text
        images = metric_of(text, "gateway_images_total", model=SMALL_V1, outcome="ok")
        return [*(metric_of(text, name, model=SMALL_V1) for name in names), images]

    pixels = np.zeros((4, 512, 512, 3), np.uint8)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "shape": pixels.shape,
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": pixels.nbytes},
                }
            ],
            "outputs": [{"name": "probabilities", "parameters": {"classification": 1}}],
        }
    ).encode()
    before = figures()
    response = client.post(
        f"/v2/models/{SMALL_V1}/infer",
        content=head + pixels.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert response.status_code == 200, response.text
    decode_s, inference_s, *counts = (
        now - then for now, then in zip(figures(), before, strict=True)
    )
    assert counts == [4, 4, 4]
    assert 0 <= decode_s < inference_s / 2
    assert inference_s < response.elapsed.total_seconds() * 4


def test_each_model_is_described_by_its_own_figures(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    for model in client.get("/models").json()["models"]:
        name = model["name"]
        assert metric_of(text, "gateway_model_madds", model=name) == model["madds"]
        assert metric_of(text, "gateway_model_params", model=name) == model["params"]
        side = str(model["resolution"])
        described = {"family": model["family"], "precision": "fp32", "resolution": side}
        assert metric_of(text, "gateway_model_info", model=name, **described) == 1


@pytest.fixture
def gateway(store: Path) -> Gateway:
    settings = Settings(store=store, models=(SMALL_V1,), workers=1, cache=False, measure_s=0)
    return open_gateway(settings)


@pytest.mark.parametrize("stage", ["decode_ms", "inference_ms"])
def test_decoding_and_inference_are_told_apart(gateway: Gateway, stage: str) -> None:
    """Of a large image nearly all time is decoding, of pixels all is inference.

    The thread may have to wait between two looks at the clock, but not every time.
    """
    model = gateway.store.get(SMALL_V1)
    cases: dict[str, tuple[bytes | Uint8Array, int]] = {
        "decode_ms": (encode(cat(1600, 1200)), 128),
        "inference_ms": (np.asarray(noise(512, 512)), 512),
    }
    source, resolution = cases[stage]

    def accounted() -> bool:
        began = time.perf_counter()
        found = gateway.classifier.run(source, 7.5, model=model, resolution=resolution)
        took_ms = (time.perf_counter() - began) * 1000
        assert found.queue_ms == 7.5
        assert 0 < found.decode_ms + found.inference_ms <= took_ms
        return bool(getattr(found, stage) > took_ms / 2)

    try:
        assert any(accounted() for _ in range(100))
    finally:
        gateway.close()


def test_the_time_in_the_helper_process_is_not_counted_twice(gateway: Gateway) -> None:
    """It was part of the wait for the worker that goes on with the pixels."""
    model, pixels = gateway.store.get(SMALL_V1), np.asarray(noise(128, 128))
    before = gateway.timings.decode_table()
    try:
        began = time.perf_counter()
        found = gateway.classifier.run(
            b"GIF", 100.0, Decoded(pixels, helper_ms=40.0), model=model, resolution=128
        )
        took_ms = (time.perf_counter() - began) * 1000
    finally:
        gateway.close()
    assert (found.queue_ms, found.decode_ms) == (60.0, 40.0)
    assert 0 < found.inference_ms <= took_ms
    assert gateway.timings.decode_table() == before  # of workers only, which `auto` reckons with


def test_gauges_tell_what_waits_what_is_worked_on_and_what_is_held(gateway: Gateway) -> None:
    def figures() -> list[float]:
        text = gateway.current_metrics().render().decode()
        names = ("gateway_queue_images", "gateway_permits_in_use", "gateway_inflight_body_bytes")
        return [metric_of(text, name) for name in names]

    async def run() -> None:
        blocker, first = await blocked(gateway.scheduler)
        waiting = gateway.scheduler.submit([lambda _: None] * 3)
        lease = gateway.body_quota.lease()
        lease.take(1234)
        assert figures() == [3, 4, 1234]
        lease.release()
        blocker.let_go()
        await first
        await waiting
        async with asyncio.timeout(LIVELINESS_S):
            while gateway.scheduler.unfinished:
                await asyncio.sleep(0.001)
        assert figures() == [0, 0, 0]

    try:
        asyncio.run(run())
    finally:
        gateway.close()
