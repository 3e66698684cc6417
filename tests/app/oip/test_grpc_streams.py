"""Streams of requests over gRPC: their order, their errors and their limits."""

from pathlib import Path

import grpc
import pytest

from app.oip import grpc_limits
from app.oip.grpc_codec import MAX_DETAIL_BYTES
from app.paths import OIP_SERVICE
from app.settings import Settings
from tests.app.oip.grpc_client import (
    PHOTO,
    Channel,
    Silence,
    asked,
    free_port,
    open_channel,
    refused,
    stream,
    stub,
    then,
)
from tests.app.sample_images import chelsea, encode
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, metric_of, until
from tests.serving import served

MB = 2**20


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


def test_an_error_in_a_stream_is_no_longer_than_that_of_a_call(both: Channel) -> None:
    requests = iter([asked(PHOTO, model="x" * 20_000)])
    [answer] = stream(both.grpc)(requests, timeout=LIVELINESS_S)
    assert "'xxx" in answer.error_message
    assert len(answer.error_message) <= MAX_DETAIL_BYTES


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
            stream(channel)(then(asked(PHOTO), silence), timeout=LIVELINESS_S) for _ in range(6)
        ]
        for opened in streams:
            assert next(opened).infer_response.outputs
        said = refused(
            lambda: next(stream(channel)(then(asked(PHOTO), silence), timeout=LIVELINESS_S)),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        )
        assert "Too many open streams: 6 of 6." in said
        assert stub(channel, "ModelInfer")(asked(PHOTO), timeout=LIVELINESS_S).outputs
        silence.end()
        for opened in streams:
            assert list(opened) == []
        [answer] = stream(channel)(iter([asked(PHOTO)]), timeout=LIVELINESS_S)
        assert answer.infer_response.outputs


def test_a_stream_that_says_nothing_is_ended(
    store: Path, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_limits, "STREAM_IDLE_S", 0.5)
    port = free_port()
    settings = Settings(store=store, models=(SMALL_V1,), grpc_port=port)
    with served(settings) as client, open_channel(port) as channel:
        answers = stream(channel)(then(asked(PHOTO), silence), timeout=LIVELINESS_S)
        assert next(answers).infer_response.outputs
        said = refused(lambda: next(answers), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert "No message arrived for 0.5 s" in said
        labels = {"route": f"/{OIP_SERVICE}/ModelStreamInfer", "status": "408"}
        until(  # the client may see the end before it is counted
            lambda: metric_of(client.get("/metrics").text, "gateway_requests_total", **labels) == 1,
            "it is counted",
        )
