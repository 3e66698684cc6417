"""The Open Inference Protocol over gRPC, with grpcio and the service's own messages."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np
import pytest

from app.errors import (
    DeadlineExceeded,
    Forbidden,
    Overloaded,
    RequestError,
    SlowBody,
    Stopping,
    TooManyBytes,
    TooManyImages,
    Unauthorized,
    UnknownModel,
)
from app.oip import inference_pb2 as pb
from app.oip.grpc_codec import MAX_DETAIL_BYTES, STATUS_CODES, status_code
from app.oip.grpc_limits import GrpcLimits, Reading
from app.oip.grpc_service import GrpcInference, InferenceService
from app.oip.tensors import pack_bytes
from app.paths import OIP_SERVICE
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from app.telemetry.record import start_record
from tests.app.http.test_openapi import request_errors
from tests.app.inference.test_scheduler import blocked
from tests.app.model.stored_forms import FLOAT, INT8, put_float, put_int8
from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, MEASURED, failed_start, metric_of, running, until
from tests.serving import served

PHOTO = encode(noise())
KEY, ADMIN_KEY = "let-me-in", "the-admin"
Call = Callable[..., Any]


class Channel(NamedTuple):
    """A service with both of its doors open."""

    http: httpx.Client
    grpc: grpc.Channel
    port: int

    def call(self, name: str, message: Any = None, **options: Any) -> Any:
        """Make one call; the answer's type goes by its name."""
        message = message or getattr(pb, f"{name}Request")()
        return stub(self.grpc, name)(message, timeout=LIVELINESS_S, **options)


def stub(channel: grpc.Channel, name: str) -> Call:
    answer = getattr(pb, f"{name}Response")
    method = f"/{OIP_SERVICE}/{name}"
    return channel.unary_unary(
        method, lambda message: message.SerializeToString(), answer.FromString
    )


def stream(channel: grpc.Channel) -> Call:
    """ModelStreamInfer: requests in, answers out."""
    return channel.stream_stream(
        f"/{OIP_SERVICE}/ModelStreamInfer",
        lambda message: message.SerializeToString(),
        pb.ModelStreamInferResponse.FromString,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def both(store: Path) -> Iterator[Channel]:
    port = free_port()
    settings = Settings(
        store=store, default_model=SMALL_V1, grpc_port=port, max_body_bytes=500_000, max_images=8
    )
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Channel(client, channel, port)


def asked(*images: bytes, model: str = SMALL_V1, **more: Any) -> pb.ModelInferRequest:
    """A request for the classes of encoded images."""
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="image", datatype="BYTES", shape=[len(images)]
    )
    raw = pack_bytes(images)
    return pb.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[raw], **more)


def tensors(answer: pb.ModelInferResponse) -> dict[str, Any]:
    return {
        output.name: np.frombuffer(raw, "<f4").reshape(list(output.shape))
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def refused(call: Callable[[], object], code: grpc.StatusCode) -> str:
    """What a call says that has to fail with this status."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    assert error.code() == code, error.details()
    return str(error.details())


def test_the_service_and_its_models_describe_themselves(both: Channel) -> None:
    assert both.call("ServerLive").live
    assert both.call("ServerReady").ready
    assert both.call("ServerMetadata").name == "mobilenet-gateway"
    named = {"name": SMALL_V2, "version": "1"}
    metadata = both.call("ModelMetadata", pb.ModelMetadataRequest(**named))
    assert [list(tensor.shape) for tensor in metadata.inputs] == [[-1, -1, -1, 3]]
    assert both.call("ModelReady", pb.ModelReadyRequest(**named)).ready
    assert not both.call("ModelReady", pb.ModelReadyRequest(name="nothing")).ready
    config = both.call("ModelConfig", pb.ModelConfigRequest(**named)).config
    assert (config.max_batch_size, config.input[0].format) == (8, pb.ModelInput.FORMAT_NHWC)
    index = both.call("RepositoryIndex").models
    assert {(model.name, model.state) for model in index} == {
        (SMALL_V1, "READY"),
        (SMALL_V2, "READY"),
    }


def test_the_answer_is_that_of_predict(both: Channel) -> None:
    photos = [encode(noise(seed=seed)) for seed in range(5)]
    answer = both.call("ModelInfer", asked(*photos, id="seven"))
    assert (answer.id, answer.model_name, answer.model_version) == ("seven", SMALL_V1, "1")
    form = [("image", photo) for photo in photos]
    predicted = both.http.post("/predict?top_k=100", files=form).json()["results"]
    for row, result in zip(tensors(answer)["probabilities"], predicted, strict=True):
        for prediction in result["predictions"]:
            assert row[prediction["class_id"]] == pytest.approx(prediction["probability"], rel=1e-6)


def test_typed_contents_are_raw_contents(both: Channel) -> None:
    pixels = np.asarray(noise(128, 128))[None]
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="image", datatype="UINT8", shape=pixels.shape
    )
    raw = pb.ModelInferRequest(
        model_name=SMALL_V1, inputs=[tensor], raw_input_contents=[pixels.tobytes()]
    )
    tensor.contents.uint_contents.extend(pixels.ravel().tolist())
    typed = pb.ModelInferRequest(model_name=SMALL_V1, inputs=[tensor])
    assert np.array_equal(
        *(tensors(both.call("ModelInfer", one))["embedding"] for one in (raw, typed))
    )
    both_ways = pb.ModelInferRequest(
        model_name=SMALL_V1, inputs=[tensor], raw_input_contents=[pixels.tobytes()]
    )
    said = refused(lambda: both.call("ModelInfer", both_ways), grpc.StatusCode.INVALID_ARGUMENT)
    assert "both contents and raw_input_contents" in said
    file = asked(PHOTO)
    file.inputs[0].contents.bytes_contents.append(PHOTO)
    del file.raw_input_contents[:]
    by_contents, by_raw = (both.call("ModelInfer", one) for one in (file, asked(PHOTO)))
    assert by_contents.raw_output_contents == by_raw.raw_output_contents


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        pytest.param(asked(PHOTO, model="x"), "NOT_FOUND", "'x'", id="model"),
        pytest.param(asked(PHOTO, model="x" * 20_000), "NOT_FOUND", "'xxx", id="long-model"),
        pytest.param(
            asked(PHOTO, model="\U0001f408" * 9_000), "NOT_FOUND", "\U0001f408", id="cats"
        ),
        pytest.param(asked(PHOTO, model_version="2"), "NOT_FOUND", "version '2'", id="version"),
        pytest.param(asked(b"text"), "INVALID_ARGUMENT", "Unrecognized image format", id="text"),
        pytest.param(asked(*[PHOTO] * 9), "INVALID_ARGUMENT", "the maximum is 8", id="images"),
        pytest.param(asked(bytes(500_001)), "RESOURCE_EXHAUSTED", "larger than", id="bytes"),
        pytest.param(asked(bytes(900_000)), "RESOURCE_EXHAUSTED", "larger", id="far-more-bytes"),
        pytest.param(
            asked(PHOTO, parameters={"priority": pb.InferParameter(uint64_param=1)}),
            "INVALID_ARGUMENT",
            "'priority'",
            id="parameter",
        ),
        pytest.param(
            asked(PHOTO, parameters={"timeout": pb.InferParameter(int64_param=1)}),
            "DEADLINE_EXCEEDED",
            "The deadline of 0.001 ms passed",
            id="timeout",
        ),
        pytest.param(pb.ModelInferRequest(), "INVALID_ARGUMENT", "empty", id="empty"),
    ],
)
def test_a_wrong_request_has_a_status_and_a_reason(
    both: Channel, message: pb.ModelInferRequest, code: str, said: str
) -> None:
    status = grpc.StatusCode[code]
    assert said in refused(lambda: both.call("ModelInfer", message), status)
    both.call("ModelInfer", asked(PHOTO))


TENSOR = pb.ModelInferRequest.InferInputTensor
OUTPUT = pb.ModelInferRequest.InferRequestedOutputTensor
PARAMETERS = {str(number): pb.InferParameter(int64_param=1) for number in range(17)}
LONG = "x" * 10_000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"outputs": [OUTPUT(name="embedding")] * 2}, "more than once", id="repeated"),
        pytest.param({"outputs": [OUTPUT()] * 9}, "9 outputs are too many", id="outputs"),
        pytest.param(
            {"inputs": [TENSOR()] * 9, "raw_input_contents": []}, "9 inputs are", id="inputs"
        ),
        pytest.param({"parameters": PARAMETERS}, "17 parameters are too many", id="parameters"),
        pytest.param(
            {"outputs": [OUTPUT(name="embedding", parameters=PARAMETERS)]},
            "17 parameters are",
            id="parameters-of-an-output",
        ),
        pytest.param(
            {"inputs": [TENSOR(name="image", datatype="BYTES", shape=[1] * 9)]},
            "9 dimensions are",
            id="dimensions",
        ),
        pytest.param({"outputs": [OUTPUT(name=LONG)]}, "Unknown output 'xxx", id="long-output"),
        pytest.param({"model_version": LONG}, "no version 'xxx", id="long-version"),
    ],
)
def test_what_is_far_too_much_is_refused_by_its_number(
    both: Channel, changed: dict[str, Any], said: str
) -> None:
    """The most that an error repeats of a name leaves room in the trailers that carry it."""
    message = asked(PHOTO)
    for field, value in changed.items():
        message.ClearField(field)
        message.MergeFrom(pb.ModelInferRequest(**{field: value}))
    with pytest.raises(grpc.RpcError) as caught:
        both.call("ModelInfer", message)
    error: Any = caught.value
    assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert said in error.details()
    assert len(error.details()) < 300


@pytest.mark.parametrize("datatype", ["UINT8", "BYTES"])
def test_elements_that_no_shape_has_are_not_even_looked_at(both: Channel, datatype: str) -> None:
    shape = [1, 128, 128, 3] if datatype == "UINT8" else [1]
    tensor = TENSOR(name="image", datatype=datatype, shape=shape)
    if datatype == "UINT8":
        tensor.contents.uint_contents.extend([1] * 400_000)
    else:
        tensor.contents.bytes_contents.extend([b""] * 200_000)
    message = pb.ModelInferRequest(model_name=SMALL_V1, inputs=[tensor])
    said = refused(lambda: both.call("ModelInfer", message), grpc.StatusCode.INVALID_ARGUMENT)
    number = "400000 were sent" if datatype == "UINT8" else "more than 5000 fields"
    assert number in said


def test_bytes_that_are_no_message_are_refused(both: Channel) -> None:
    method = both.grpc.unary_unary(f"/{OIP_SERVICE}/ModelInfer", bytes, bytes)
    said = refused(
        lambda: method(b"\xff\xff", timeout=LIVELINESS_S), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert "not a ModelInferRequest" in said


def test_a_client_that_speaks_something_else_harms_nobody(both: Channel) -> None:
    port = both.port
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(99)):
        with socket.create_connection(("127.0.0.1", port), timeout=LIVELINESS_S) as connection:
            connection.sendall(nonsense)
            while connection.recv(4096):
                pass
    unknown = both.grpc.unary_unary(f"/{OIP_SERVICE}/TraceSetting", bytes, bytes)
    refused(lambda: unknown(b"", timeout=LIVELINESS_S), grpc.StatusCode.UNIMPLEMENTED)
    both.call("ModelInfer", asked(PHOTO))


def test_every_error_has_a_status_of_grpc() -> None:
    for kind in request_errors():
        assert kind.status in STATUS_CODES or kind.type in {"not-found", "method-not-allowed"}
    codes = {
        Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
        TooManyBytes: grpc.StatusCode.RESOURCE_EXHAUSTED,
        TooManyImages: grpc.StatusCode.INVALID_ARGUMENT,
        UnknownModel: grpc.StatusCode.NOT_FOUND,
        Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
        Forbidden: grpc.StatusCode.PERMISSION_DENIED,
        Stopping: grpc.StatusCode.UNAVAILABLE,
    }
    made: dict[type[RequestError], grpc.StatusCode] = {
        kind: status_code(kind("x")) for kind in codes
    }
    assert made == codes


def test_a_stream_answers_in_order_and_survives_a_wrong_request(both: Channel) -> None:
    requests = [asked(PHOTO, id="1"), asked(b"text", id="2"), asked(PHOTO, id="3")]
    first, second, third = stream(both.grpc)(iter(requests), timeout=LIVELINESS_S)
    assert [first.infer_response.id, third.infer_response.id] == ["1", "3"]
    assert "Unrecognized image format" in second.error_message


def test_a_stream_that_its_client_leaves_is_counted_as_such(store: Path) -> None:
    port = free_port()
    settings = Settings(
        store=store, models=(SMALL_V1,), grpc_port=port, workers=1, reduced_decode=False
    )
    slow = encode(chelsea().resize((3000, 2000)), quality=30)
    requests = [asked(b"text"), asked(*[slow] * 32)]
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answers = stream(channel)(iter(requests), timeout=LIVELINESS_S)
        assert "Unrecognized image format" in next(answers).error_message
        in_use = "gateway_permits_in_use"
        until(lambda: metric_of(client.get("/metrics").text, in_use) > 0, "work")
        answers.cancel()
        until(lambda: metric_of(client.get("/metrics").text, in_use) == 0, "rest")

        def counted(**labels: str) -> float:
            text = client.get("/metrics").text
            route = f"/{OIP_SERVICE}/ModelStreamInfer"
            return metric_of(text, "gateway_requests_total", route=route, **labels)

        until(lambda: counted() == 2, "the call that was cancelled is counted")
        assert (counted(status="400"), counted(status="499")) == (1, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ServerLive", pb.ServerLiveRequest()),
        ("ModelMetadata", pb.ModelMetadataRequest(name=SMALL_V1)),
        ("ModelInfer", asked(PHOTO)),
    ],
)
def test_an_answer_has_the_id_of_its_request(both: Channel, name: str, message: Any) -> None:
    method: Any = stub(both.grpc, name)
    _, call = method.with_call(message, timeout=LIVELINESS_S, metadata=(("x-request-id", "mine"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine"


def test_an_error_in_a_stream_is_no_longer_than_that_of_a_call(both: Channel) -> None:
    requests = iter([asked(PHOTO, model="x" * 20_000)])
    [answer] = stream(both.grpc)(requests, timeout=LIVELINESS_S)
    assert "'xxx" in answer.error_message
    assert len(answer.error_message) <= MAX_DETAIL_BYTES


def test_a_call_is_counted_and_has_an_id(both: Channel) -> None:
    before = metric_of(both.http.get("/metrics").text, "gateway_images_total", outcome="ok")
    refused(
        lambda: both.call("ModelInfer", asked(PHOTO, model="y"), metadata=(("x-request-id", "q"),)),
        grpc.StatusCode.NOT_FOUND,
    )
    both.call("ModelInfer", asked(PHOTO, PHOTO))
    text = both.http.get("/metrics").text
    assert metric_of(text, "gateway_images_total", outcome="ok") == before + 2
    route = f"/{OIP_SERVICE}/ModelInfer"
    assert metric_of(text, "gateway_requests_total", route=route, method="GRPC", status="404") >= 1
    counted = both.call("ModelStatistics", pb.ModelStatisticsRequest(name=SMALL_V1))
    assert counted.model_stats[0].inference_count == before + 2


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


def test_keys_and_steering_are_those_of_http(store: Path) -> None:
    port = free_port()
    settings: dict[str, object] = {
        "grpc_port": port,
        "api_keys": KEY,
        "admin_key": ADMIN_KEY,
        "models": SMALL_V1,
        "default_model": SMALL_V1,
    }
    bearer = (("authorization", f"Bearer {KEY}"),)
    admin = (("x-api-key", ADMIN_KEY),)
    with running(store, **settings), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert stub(channel, "ServerLive")(pb.ServerLiveRequest(), timeout=LIVELINESS_S).live
        infer = stub(channel, "ModelInfer")
        said = refused(
            lambda: infer(asked(PHOTO), timeout=LIVELINESS_S), grpc.StatusCode.UNAUTHENTICATED
        )
        assert "API key" in said
        assert infer(asked(PHOTO), metadata=bearer, timeout=LIVELINESS_S).outputs
        load = stub(channel, "RepositoryModelLoad")
        triton = pb.RepositoryModelLoadRequest(model_name=SMALL_V2)
        kserve = pb.RepositoryModelLoadRequest.FromString(
            b"\n" + bytes([len(SMALL_V2)]) + SMALL_V2.encode()
        )
        refused(
            lambda: load(triton, metadata=bearer, timeout=LIVELINESS_S),
            grpc.StatusCode.PERMISSION_DENIED,
        )
        for message in (triton, kserve):
            assert load(message, metadata=admin, timeout=LIVELINESS_S).isLoaded
        assert infer(asked(PHOTO, model=SMALL_V2), metadata=bearer, timeout=LIVELINESS_S).outputs
        unload = stub(channel, "RepositoryModelUnload")
        gone = pb.RepositoryModelUnloadRequest(model_name=SMALL_V2)
        assert unload(gone, metadata=admin, timeout=LIVELINESS_S).isUnloaded
        refused(
            lambda: infer(asked(PHOTO, model=SMALL_V2), metadata=bearer, timeout=LIVELINESS_S),
            grpc.StatusCode.NOT_FOUND,
        )


def test_a_stop_answers_what_was_accepted_and_refuses_the_rest(store: Path) -> None:
    port = free_port()
    photos = [encode(noise(1200, 1200))] * 16
    settings: dict[str, object] = {
        "grpc_port": port,
        "workers": 1,
        "deadline_ms": 10_000_000,
        "drain_s": 10_000,
        "stop_timeout_s": 10_000,
    }
    with (
        running(store, **MEASURED, **settings) as service,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        infer = stub(channel, "ModelInfer")
        infer(asked(PHOTO), timeout=LIVELINESS_S)
        service.metric("gateway_permits_in_use")  # loads the routes
        accepted: list[Any] = []
        thread = threading.Thread(
            target=lambda: accepted.append(infer(asked(*photos), timeout=LIVELINESS_S))
        )
        thread.start()
        until(lambda: service.metric("gateway_permits_in_use") > 0, "the work is there")
        service.signal(signal.SIGTERM)
        until(lambda: "Shutting down" in service.log, "the stop begins")
        said = refused(
            lambda: infer(asked(PHOTO), timeout=LIVELINESS_S), grpc.StatusCode.UNAVAILABLE
        )
        assert "shutting down" in said
        assert stub(channel, "ServerLive")(pb.ServerLiveRequest(), timeout=LIVELINESS_S).live
        assert not stub(channel, "ServerReady")(pb.ServerReadyRequest(), timeout=LIVELINESS_S).ready
        thread.join(LIVELINESS_S)
        assert len(tensors(accepted[0])["probabilities"]) == 16
        service.signal(signal.SIGTERM)  # ends the drain
        assert service.wait() == 0


def test_a_taken_port_is_one_clear_line(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = failed_start(store, grpc_port=taken.getsockname()[1])
    assert "Cannot listen for gRPC on 127.0.0.1" in said
    assert "GATEWAY_GRPC_PORT" in said


def test_without_the_port_grpc_is_not_even_imported() -> None:
    script = (
        "import sys; from app.http.application import Application;"
        "from app.http.server import check_grpc;"
        "from app.settings import Settings; settings = Settings(); check_grpc(settings);"
        "Application(settings); print(sorted(m for m in sys.modules if m.split('.')[0] in"
        " ('grpc', 'google')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_model_that_waits_for_its_first_use_is_loaded_when_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.gateway.int8_obstacle", lambda: None)
    put_int8(tmp_path)
    path = put_float(tmp_path)
    port = free_port()
    settings = Settings(store=tmp_path, cache=False, measure_s=0, grpc_port=port)
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        opened = Channel(client, channel, port)
        states = {model.name: model.state for model in opened.call("RepositoryIndex").models}
        assert states == {FLOAT: "UNAVAILABLE", INT8: "READY"}
        answer = opened.call("ModelInfer", asked(PHOTO, model=FLOAT))
        assert answer.model_name == FLOAT
        states = {model.name: model.state for model in opened.call("RepositoryIndex").models}
        assert states == {FLOAT: "READY", INT8: "READY"}
    path.touch()
    with served(settings) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        opened = Channel(client, channel, port)
        path.unlink()
        assert not opened.call("ModelReady", pb.ModelReadyRequest(name=FLOAT)).ready
        refused(
            lambda: opened.call("ModelInfer", asked(PHOTO, model=FLOAT)), grpc.StatusCode.INTERNAL
        )
