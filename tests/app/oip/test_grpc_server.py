"""The Open Inference Protocol over gRPC, with grpcio and the service's own messages."""

import socket
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from app.errors import (
    Forbidden,
    Overloaded,
    RequestError,
    Stopping,
    TooManyBytes,
    TooManyImages,
    Unauthorized,
    UnknownModel,
)
from app.oip import inference_pb2 as pb
from app.oip.grpc_codec import STATUS_CODES, status_code
from app.paths import OIP_SERVICE
from app.settings import Settings
from tests.app.http.test_openapi import request_errors
from tests.app.model.stored_forms import FLOAT, INT8, put_float, put_int8
from tests.app.oip.grpc_client import PHOTO, Channel, asked, free_port, refused, stub, tensors
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, metric_of
from tests.serving import served


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
