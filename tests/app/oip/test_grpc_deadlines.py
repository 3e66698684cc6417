"""Deadlines of calls over gRPC: of the client, of the request and of the service."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.errors import (
    DeadlineExceeded,
    RequestError,
    SlowBody,
)
from app.oip.grpc_limits import GrpcLimits, Reading
from app.oip.grpc_service import GrpcInference, InferenceService
from app.paths import OIP_SERVICE
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from app.telemetry.record import start_record
from tests.app.inference.test_scheduler import blocked
from tests.app.oip.grpc_client import (
    PHOTO,
    asked,
    free_port,
    refused,
    stub,
)
from tests.app.sample_images import chelsea, encode
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, metric_of, until
from tests.serving import served


def test_the_deadline_of_the_client_is_kept(store: Path) -> None:
    port = free_port()
    settings = Settings(
        store=store, models=(SMALL_V1,), grpc_port=port, workers=1, reduced_decode=False
    )
    photos = [encode(chelsea().resize((3000, 2000)), quality=30)] * 32
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = stub(channel, "ModelInfer")
        infer(asked(PHOTO), timeout=LIVELINESS_S)

        def failed() -> float:
            text = client.get("/metrics").text
            route = f"/{OIP_SERVICE}/ModelInfer"
            ends = ("499", "504")  # by the client hanging up, or by its deadline having passed
            return sum(
                metric_of(text, "gateway_requests_total", route=route, status=end) for end in ends
            )

        def gives_up() -> bool:
            # On a slow machine the deadline may pass before the call is on its way.
            refused(lambda: infer(asked(*photos), timeout=0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
            return failed() > 0

        until(gives_up, "the server gives up too")
        until(lambda: metric_of(client.get("/metrics").text, "gateway_permits_in_use") == 0, "rest")


@pytest.fixture
def gateway(store: Path) -> Iterator[Gateway]:
    opened = open_gateway(Settings(store=store, models=(SMALL_V1,), workers=1, cache=False))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("remaining_s", "headers", "deadline_ms"),
    [
        pytest.param(None, [], 10_000, id="none"),
        pytest.param(0.25, [], 250, id="sooner"),
        pytest.param(99.0, [], 10_000, id="later"),
        pytest.param(-1.0, [], 0, id="passed"),
        pytest.param(0.25, [(b"x-deadline-ms", b"100")], 100, id="header"),
        pytest.param(0.25, [(b"x-deadline-ms", b"300")], 250, id="later header"),
    ],
)
def test_the_sooner_of_all_deadlines_holds(
    gateway: Gateway,
    remaining_s: float | None,
    headers: list[tuple[bytes, bytes]],
    deadline_ms: float,
) -> None:
    inference = GrpcInference(gateway, start_record("GRPC", "/", []))
    inference.open(headers, remaining_s)
    assert inference.deadline_ms == pytest.approx(deadline_ms)
    inference.close()


class Patient:
    """A call whose client would wait for ever, but has named a deadline."""

    def __init__(self, sends: bool) -> None:
        self._sends = sends

    def time_remaining(self) -> float:
        return 0.05

    def invocation_metadata(self) -> None:
        return None

    async def read(self) -> bytes:
        if not self._sends:
            await asyncio.Event().wait()
        return asked(PHOTO).SerializeToString()


@pytest.mark.parametrize(
    ("sends", "places", "kind", "said"),
    [
        (True, 1, DeadlineExceeded, r"^The deadline of 50 ms passed: "),
        (False, 1, SlowBody, r"^The body did not arrive within 50 ms\."),
        (True, 0, DeadlineExceeded, r"^The deadline of 50 ms passed before a place to read "),
    ],
)
def test_a_call_ends_at_its_deadline_on_the_server_although_nobody_cancels_it(
    gateway: Gateway, sends: bool, places: int, kind: type[RequestError], said: str
) -> None:
    """With a client the library cancels the call at about the same time."""

    async def run() -> None:
        limits = GrpcLimits(1, 1, 1)
        limits.reading = Reading(places)
        service = InferenceService(gateway, limits)
        call: Any = Patient(sends)
        blocker, first = await blocked(gateway.scheduler)
        async with asyncio.timeout(20):  # less than 50 s, should the unit be wrong
            with pytest.raises(kind, match=said):
                await service._infer_one(start_record("GRPC", "/", []), call)
        blocker.let_go()
        await first

    asyncio.run(run())
