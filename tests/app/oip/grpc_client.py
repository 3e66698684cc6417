"""Calls to the service over gRPC, and reading their answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np
import pytest

from app.oip import inference_pb2 as pb
from app.oip.tensors import pack_bytes
from app.paths import OIP_SERVICE
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S

PHOTO = encode(noise())
Call = Callable[..., Any]


class Channel(NamedTuple):
    """A service that answers over HTTP and over gRPC."""

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


@contextmanager
def open_channel(port: int) -> Iterator[grpc.Channel]:
    """A connection of its own, where grpc would share one."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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


class Silence:
    """Requests of a client that never sends one, until it is told to end."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        self._over.wait(LIVELINESS_S)
        yield from ()

    def end(self) -> None:
        self._over.set()


def then(request: pb.ModelInferRequest, silence: Silence) -> Iterator[pb.ModelInferRequest]:
    """Send one request, and nothing more until the silence ends."""
    yield request
    yield from silence
