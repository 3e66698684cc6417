"""Calls and streams that come in over gRPC stay within numbers, whoever sends them."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.errors import Overloaded, SlowBody
from app.oip import grpc_limits
from app.oip import inference_pb2 as pb
from app.oip.grpc_limits import MIN_SLOTS, GrpcLimits, Reading, Streams
from app.paths import OIP_SERVICE
from app.settings import Settings
from tests.app.oip.grpc_client import (
    PHOTO,
    Silence,
    asked,
    free_port,
    open_channel,
    stub,
)
from tests.app.oip.http2 import PREFACE, SETTINGS, frame, send_all_but_the_end
from tests.app.sample_images import chelsea, encode
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, running, until
from tests.serving import served

MB = 2**20
MIN_CALLS = 100


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls that send nothing keep their places although others wait."""
    monkeypatch.setattr(grpc_limits, "PATIENCE_S", 600.0)


@pytest.mark.usefixtures("patience")
def test_probes_are_answered_when_no_call_is_taken_any_more(store: Path, silence: Silence) -> None:
    port = free_port()
    settings = Settings(
        store=store, models=(SMALL_V1,), grpc_port=port, workers=1, queue_limit=1, max_images=1
    )
    with (
        served(settings),
        open_channel(port) as crowd,
        open_channel(port) as channel,
    ):
        silent: Any = crowd.stream_unary(f"/{OIP_SERVICE}/ModelInfer", bytes, bytes)
        calls = [silent.future(iter(silence), timeout=LIVELINESS_S) for _ in range(MIN_CALLS)]
        infer = stub(channel, "ModelInfer")

        def crowded() -> bool:
            try:
                infer(asked(PHOTO), timeout=20)
            except grpc.RpcError as error:
                sent: Any = error
                return "100 of 100" in sent.details()
            return False

        until(crowded, "the calls are there")
        with pytest.raises(grpc.RpcError, match="100 of 100"):
            infer(asked(PHOTO), timeout=LIVELINESS_S)
        assert stub(channel, "ServerLive")(pb.ServerLiveRequest(), timeout=LIVELINESS_S).live
        assert stub(channel, "ServerReady")(pb.ServerReadyRequest(), timeout=LIVELINESS_S).ready
        for call in calls:
            call.cancel()
        until(lambda: not crowded(), "the calls are gone")
        assert infer(asked(PHOTO), timeout=LIVELINESS_S).outputs


def test_there_are_no_more_connections_than_the_setting_allows(store: Path) -> None:
    port = free_port()
    settings = Settings(store=store, models=(SMALL_V1,), grpc_port=port, max_connections=3)

    def is_served(connection: socket.socket) -> bool:
        """Whether the server says its settings, as HTTP/2 begins, and does not hang up."""
        try:
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
            return bool(connection.recv(1))
        except ConnectionError:
            return False

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=LIVELINESS_S)

    with served(settings), ExitStack() as stack:
        held = [stack.enter_context(connect()) for _ in range(3)]
        assert all(map(is_served, held))
        with connect() as beyond:
            assert not is_served(beyond)
        held[0].close()
        until(lambda: is_served(stack.enter_context(connect())), "there is room again")


@pytest.mark.usefixtures("patience")
def test_a_call_waits_for_its_turn_to_be_read(store: Path, silence: Silence) -> None:
    port = free_port()
    settings = Settings(  # with the least places there are
        store=store,
        models=(SMALL_V1,),
        grpc_port=port,
        max_body_bytes=MB,
        max_inflight_bytes=MB,
    )
    with served(settings), open_channel(port) as crowd, open_channel(port) as channel:
        silent: Any = crowd.stream_unary(f"/{OIP_SERVICE}/ModelInfer", bytes, bytes)
        calls = [silent.future(iter(silence), timeout=LIVELINESS_S) for _ in range(MIN_SLOTS)]
        metadata: Any = stub(channel, "ModelMetadata")
        named = pb.ModelMetadataRequest(name=SMALL_V1)
        until(lambda: _is_late(metadata, named), "all places are taken")
        waiting = metadata.future(named, timeout=LIVELINESS_S)
        calls[0].cancel()
        assert waiting.result().name == SMALL_V1
        silence.end()
        for call in calls[1:]:
            assert call.code() == grpc.StatusCode.INVALID_ARGUMENT  # it ended without a message


def _is_late(call: Any, message: Any) -> bool:
    try:
        call(message, timeout=0.3)
    except grpc.RpcError as error:
        sent: Any = error
        return bool(sent.code() == grpc.StatusCode.DEADLINE_EXCEEDED)
    return False


def test_overload_is_refused_with_the_time_to_come_back(store: Path) -> None:
    port = free_port()
    settings = Settings(
        store=store, grpc_port=port, workers=1, queue_limit=1, max_images=1, reduced_decode=False
    )
    slow = encode(chelsea().resize((3000, 2000)), quality=30)
    with served(settings), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer: Any = stub(channel, "ModelInfer")
        calls = [infer.future(asked(slow), timeout=LIVELINESS_S) for _ in range(12)]
        refusals = [call for call in calls if call.code() != grpc.StatusCode.OK]
        assert 1 <= len(refusals) < len(calls)
        for call in refusals:
            assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "of 1 images waiting." in call.details()
            assert int(dict(call.trailing_metadata())["retry-after"]) >= 1


@pytest.mark.parametrize("call", ["ModelInfer", "ModelStreamInfer", "ModelMetadata"])
def test_messages_that_never_end_take_little_memory(store: Path, call: str) -> None:
    port = free_port()
    settings: dict[str, object] = {
        "grpc_port": port,
        "max_body_bytes": 8 * MB,
        "max_inflight_bytes": 8 * MB,
        "deadline_ms": 60_000,
        "measure_s": 0,
    }
    with running(store, **settings) as process:
        process.metric("gateway_permits_in_use")  # loads the routes, which take memory too
        before_bytes = process.resident_bytes
        with socket.create_connection(("127.0.0.1", port)) as connection:
            send_all_but_the_end(connection, call, streams=40, size_bytes=8 * MB)
            grown_bytes = process.resident_bytes - before_bytes
    # 320 MB if all were read; the service also loads code in its first seconds, 10 MB
    assert grown_bytes < 3 * MIN_SLOTS * 8 * MB


# --- the numbers themselves -----------------------------------------------------------------------


def test_places_are_halved_and_never_fewer_than_a_handful() -> None:
    async def reads(limits: GrpcLimits) -> int:
        taken = 0
        while not limits.reading.locked():
            await limits.reading.acquire()
            taken += 1
        return taken

    for limit_bytes, places in ((256 * MB, 8), (16 * MB, MIN_SLOTS), (1024 * MB, 32)):
        limits = GrpcLimits(100, limit_bytes, 16 * MB)
        assert (limits.streams.maximum, asyncio.run(reads(limits))) == (places, places)


def test_a_place_is_free_again_however_it_was_left() -> None:
    limits = GrpcLimits(1, MB, MB)
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), limits.calls.acquire():
            raise ValueError("mine")
    with limits.calls.acquire(), pytest.raises(Overloaded, match="1 of 1"), limits.calls.acquire():
        raise AssertionError("one too many")


# --- calls and streams that send nothing


async def silent() -> bytes:
    """A message that never comes."""
    await asyncio.Event().wait()
    return b""


async def sent() -> bytes:
    """A message that is there."""
    return b"message"


def test_calls_that_send_nothing_give_their_places_to_those_that_wait() -> None:
    async def run() -> list[object]:
        reading = Reading(2)
        idle = [asyncio.create_task(reading.read(silent)) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(LIVELINESS_S):
            first = await reading.read(sent)
            await asyncio.wait(idle, return_when=asyncio.FIRST_COMPLETED)
        for task in idle:
            task.cancel()
        return [first, *await asyncio.gather(*idle, return_exceptions=True)]

    first, *ends = asyncio.run(run())
    assert first == b"message"
    assert isinstance(ends[0], SlowBody)
    assert "while other calls waited" in str(ends[0])


def test_a_slow_message_has_its_time_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_limits, "PATIENCE_S", 0.0)

    async def slow() -> bytes:
        await asyncio.sleep(0.2)
        return b"slow"

    async def run() -> list[bytes]:
        reading = Reading(2)
        return list(await asyncio.gather(reading.read(slow), reading.read(slow)))

    assert asyncio.run(run()) == [b"slow", b"slow"]


def test_of_streams_the_one_that_is_silent_for_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grpc_limits, "STREAM_PATIENCE_S", 0.0)

    async def run() -> list[str]:
        streams = Streams(2)
        ended: list[str] = []

        async def stream(name: str) -> None:
            with streams.acquire():
                try:
                    await streams.next_message(silent)
                except SlowBody:
                    ended.append(name)

        tasks = []
        for name in ("first", "second"):
            tasks.append(asyncio.create_task(stream(name)))
            await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 of 2"), streams.acquire():
            raise AssertionError("one too many")
        async with asyncio.timeout(LIVELINESS_S):
            await tasks[0]
        with streams.acquire():
            tasks[1].cancel()
        return ended

    assert asyncio.run(run()) == ["first"]
