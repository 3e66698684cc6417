"""Calls and streams that come in over gRPC stay within numbers, whoever sends them."""

import asyncio
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from tests.app.oip.test_grpc_server import KEY, PHOTO, asked, free_port, refused, stream, stub
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, metric_of, running, until
from tests.serving import served

MB = 2**20
MIN_CALLS = 100


@contextmanager
def open_channel(port: int) -> Iterator[grpc.Channel]:
    """A connection of its own, where grpc would share one."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


class Silence:
    """Requests of a client that never sends one, until it is told to end."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        self._over.wait(LIVELINESS_S)
        yield from ()

    def end(self) -> None:
        self._over.set()


@pytest.fixture
def silence() -> Iterator[Silence]:
    silence = Silence()
    yield silence
    silence.end()


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "call", ["ModelInfer", "ModelStreamInfer", "ModelMetadata", "RepositoryModelLoad"]
)
def test_without_a_key_nothing_is_waited_for(store: Path, call: str, silence: Silence) -> None:
    port = free_port()
    with running(store, grpc_port=port, api_keys=KEY), open_channel(port) as channel:
        method: Any = channel.stream_stream(f"/{OIP_SERVICE}/{call}", bytes, bytes)
        said = refused(
            lambda: next(method(iter(silence), timeout=LIVELINESS_S)),
            grpc.StatusCode.UNAUTHENTICATED,
        )
        assert "API key" in said


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
            connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))
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


def test_there_are_as_many_streams_as_messages_fit_into_memory(
    store: Path, silence: Silence
) -> None:
    port = free_port()
    settings = Settings(
        store=store,
        models=(SMALL_V1,),
        grpc_port=port,
        max_body_bytes=MB,
        max_inflight_bytes=12 * MB,
    )
    with served(settings), open_channel(port) as channel:
        streams = [
            stream(channel)(_then(asked(PHOTO), silence), timeout=LIVELINESS_S) for _ in range(6)
        ]
        for opened in streams:
            assert next(opened).infer_response.outputs
        said = refused(
            lambda: next(stream(channel)(_then(asked(PHOTO), silence), timeout=LIVELINESS_S)),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        )
        assert "Too many open streams: 6 of 6." in said
        assert stub(channel, "ModelInfer")(asked(PHOTO), timeout=LIVELINESS_S).outputs
        silence.end()
        for opened in streams:
            assert list(opened) == []
        [answer] = stream(channel)(iter([asked(PHOTO)]), timeout=LIVELINESS_S)
        assert answer.infer_response.outputs


def _then(request: pb.ModelInferRequest, silence: Silence) -> Iterator[pb.ModelInferRequest]:
    yield request
    yield from silence


def test_a_stream_that_says_nothing_is_ended(
    store: Path, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_limits, "STREAM_IDLE_S", 0.5)
    port = free_port()
    settings = Settings(store=store, models=(SMALL_V1,), grpc_port=port)
    with served(settings) as client, open_channel(port) as channel:
        answers = stream(channel)(_then(asked(PHOTO), silence), timeout=LIVELINESS_S)
        assert next(answers).infer_response.outputs
        said = refused(lambda: next(answers), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert "No message arrived for 0.5 s" in said
        labels = {"route": f"/{OIP_SERVICE}/ModelStreamInfer", "status": "408"}
        until(  # the client may see the end before it is counted
            lambda: metric_of(client.get("/metrics").text, "gateway_requests_total", **labels) == 1,
            "it is counted",
        )


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
    assert grown_bytes < 2 * MIN_SLOTS * 8 * MB  # 320 MB if all were read


# --- HTTP/2 by hand, since no client of gRPC leaves a message unfinished --------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ACK, END_HEADERS, INITIAL_WINDOW_SIZE = 1, 4, 4
QUIET_S = 1.0  # after which a server has said how much it takes


def send_all_but_the_end(
    connection: socket.socket, call: str, *, streams: int, size_bytes: int
) -> None:
    """Begin a call on each stream, and send as much of its message as the server lets through."""
    numbers = range(1, 2 * streams, 2)
    left = {number: struct.pack(">BI", 0, size_bytes) + bytes(size_bytes - 1) for number in numbers}
    windows = dict.fromkeys((-1, 0, *numbers), 65_535)  # of new streams, of all, of each
    connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))
    for number in numbers:
        connection.sendall(_frame(HEADERS, END_HEADERS, number, _head(call)))
    received = b""
    while select.select([connection], [], [], QUIET_S)[0]:
        received += connection.recv(65_536)
        received = _heed(connection, received, left, windows)
        for number, rest in left.items():
            sent = 0
            while part := rest[sent : sent + min(16_384, windows[0], windows[number])]:
                connection.sendall(_frame(DATA, 0, number, part))
                sent += len(part)
                windows[0] -= len(part)
                windows[number] -= len(part)
            left[number] = rest[sent:]


def _heed(
    connection: socket.socket, received: bytes, left: dict[int, bytes], windows: dict[int, int]
) -> bytes:
    """Do what the server's frames ask for; returns the beginning of one that is not there yet."""
    while len(received) >= 9:
        size = int.from_bytes(received[:3])
        kind, flags, number = struct.unpack(">BBI", received[3:9])
        if len(received) < 9 + size:
            break
        payload, received = received[9 : 9 + size], received[9 + size :]
        if kind == WINDOW_UPDATE:
            windows[number] += int.from_bytes(payload)
        elif kind == RST_STREAM:
            left[number] = b""
        elif kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
            _widen(windows, payload if kind == SETTINGS else b"")
    return received


def _widen(windows: dict[int, int], settings: bytes) -> None:
    """Take over the window that all streams begin with, if it is another one now."""
    for name, value in struct.iter_unpack(">HI", settings):
        if name == INITIAL_WINDOW_SIZE:
            for number in windows.keys() - {0, -1}:
                windows[number] += value - windows[-1]
            windows[-1] = value


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, number) + payload


def _head(call: str) -> bytes:
    """The headers of a call, none of them compressed (RFC 7541, 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{OIP_SERVICE}/{call}",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    texts = [text.encode() for field in fields.items() for text in field]
    packed = [bytes([len(text)]) + text for text in texts]
    return b"".join(b"\0" + name + value for name, value in zip(*[iter(packed)] * 2, strict=True))


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
