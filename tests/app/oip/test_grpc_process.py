"""gRPC of a running process: keys, repository calls, port and graceful shutdown."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.oip import inference_pb2 as pb
from app.paths import OIP_SERVICE
from tests.app.oip.grpc_client import (
    PHOTO,
    Silence,
    asked,
    free_port,
    open_channel,
    refused,
    stub,
    tensors,
)
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import LIVELINESS_S, MEASURED, failed_start, running, until

KEY, ADMIN_KEY = "let-me-in", "the-admin"


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
