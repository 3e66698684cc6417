"""What the machine lacks is said in one line, and what is optional is not needed."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from tests.conftest import SMALL_V1
from tests.processes import (
    LIVELINESS_S,
    cpu_ticks,
    failed_start,
    handles_signals,
    launch,
    running,
    until,
)
from tests.robustness.stores import copied
from tests.robustness.traffic import classify, light_image

ORIGIN = "https://camera.example"
MOMENTS = 12
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # to hear of it in the log


def test_a_port_that_is_taken_is_named(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failed_start(store, port=port)
    assert said.startswith(f"error: Cannot listen on 127.0.0.1 port {port}: Address already in use")


def test_a_second_start_leaves_the_first_service_alone(store: Path) -> None:
    with running(store) as service:
        assert str(service.port) in failed_start(store, port=service.port)
        assert classify(service, light_image()).status_code == 200


def test_a_service_that_anybody_can_use_says_so_in_one_line(store: Path) -> None:
    with running(store, models=SMALL_V1, host=EVERY_ADDRESS, admin_key="boss") as service:
        until(lambda: "NO API KEY" in service.log, "it says so")
        [line] = [line for line in service.log.splitlines() if "NO API KEY" in line]
        assert " WARNING NO API KEY IS SET, " in line
        assert f"http://{EVERY_ADDRESS}:{service.port}" in line
        assert "GATEWAY_GENERATE_KEY=true" in line
        assert "GATEWAY_API_KEYS" in line


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"host": "192.0.2.1"}, "192.0.2.1"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid"),
        ({"api_keys_file": "missing.txt"}, "missing.txt"),
    ],
)
def test_what_cannot_be_used_is_named(store: Path, settings: dict[str, object], named: str) -> None:
    said = failed_start(store, **settings)
    assert said.startswith("error: ")
    assert named in said


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory, where this process may mount one."""
    if not shutil.which("mount"):
        pytest.skip("needs mount(8)")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_keeps_no_model_from_serving(store: Path, tmp_path: Path) -> None:
    file = store / f"{SMALL_V1}.onnx"
    size_kb = file.stat().st_size // 1024 + 200
    with small_disk(tmp_path, f"size={size_kb}k"):
        shutil.copy(file, tmp_path)
        with running(tmp_path) as service:
            assert classify(service, light_image()).status_code == 200
            assert f"Cannot store the optimised graph of {file.name}" in service.log
        assert not list(tmp_path.rglob("*.ort"))


def test_a_read_only_store_is_said_and_keeps_no_model_from_serving(
    store: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path, "size=64m"):
        copied(store, tmp_path / "store")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with running(tmp_path / "store") as service:
            assert classify(service, light_image()).status_code == 200
            assert "Read-only file system" in service.log


def test_with_a_certificate_the_service_speaks_tls(
    store: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    with running(store, tls_cert=cert, tls_key=key) as service:
        assert service.base_url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(
            base_url=service.base_url, verify=trust, trust_env=False, timeout=LIVELINESS_S
        ) as client:
            response = client.post(
                "/predict", content=light_image(), headers={"Content-Type": "image/jpeg"}
            )
        assert response.status_code == 200
        plain = service.base_url.replace("https", "http")
        with httpx.Client(trust_env=False) as client, pytest.raises(httpx.HTTPError):
            client.get(f"{plain}/healthz")


def test_with_a_certificate_grpc_speaks_tls_too(
    store: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    with running(store, tls_cert=cert, tls_key=key, grpc_port=0) as service:
        found = re.search(r"gRPC on (127\.0\.0\.1:\d+)", service.log)
        assert found
        trust = grpc.ssl_channel_credentials(cert.read_bytes())
        with grpc.secure_channel(found[1], trust) as channel:
            live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive", bytes, bytes)
            assert live(b"", timeout=LIVELINESS_S) == b"\x08\x01"  # field 1, true
        with grpc.insecure_channel(found[1]) as channel:
            live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive", bytes, bytes)
            with pytest.raises(grpc.RpcError):
                live(b"", timeout=LIVELINESS_S)


def test_a_key_that_is_not_the_certificates_is_refused(
    store: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    assert f"tls_key {cert}" in failed_start(store, tls_cert=cert, tls_key=cert)
    assert f"tls_cert {key}" in failed_start(store, tls_cert=key, tls_key=key)


@pytest.mark.unmeasured
def test_a_stop_ends_the_process_at_any_moment_of_its_start(store: Path, tmp_path: Path) -> None:
    """Moments are counted in processor time, which a loaded machine stretches with the start.

    Both signals have the same handler and take turns.
    """
    own, log_file = copied(store, tmp_path / "store"), tmp_path / "log.txt"
    cache = own / ".cache"
    with running(own) as service:
        ticks = cpu_ticks(service.pid)
    for moment in range(MOMENTS):
        shutil.rmtree(cache, ignore_errors=True)  # so that each start makes it
        number = (signal.SIGTERM, signal.SIGINT)[moment % 2]
        _stop_a_start(own, log_file, ticks * moment // MOMENTS, number)
        cache.mkdir(exist_ok=True)
        left = [path.name for path in cache.iterdir() if path.suffix not in {".ort", ".json"}]
        assert not left, "half made"


def _stop_a_start(store: Path, log_file: Path, ticks: int, number: int) -> None:
    def far_enough() -> bool:
        return cpu_ticks(process.pid) >= ticks or "listening" in log_file.read_text("utf-8")

    process = launch(store, log_file)
    try:
        until(lambda: handles_signals(process.pid), "signals are handled")
        until(far_enough, f"{ticks} ticks are used")
        process.send_signal(number)
        assert process.wait(LIVELINESS_S) == 0, log_file.read_text("utf-8")
        assert "Traceback" not in log_file.read_text("utf-8")
    finally:
        process.kill()
        process.wait()


def test_other_origins_are_not_allowed_unless_set(store: Path) -> None:
    with running(store) as service, service.client({"Origin": ORIGIN}) as client:
        for response in (client.get("/models"), client.options("/predict")):
            assert not [name for name in response.headers if name.startswith("access-control")]


def test_an_allowed_origin_may_ask_and_read_errors_even_where_keys_are_needed(
    store: Path,
) -> None:
    settings = {"cors_origins": ORIGIN, "api_keys": "a-key"}
    with running(store, **settings) as service, service.client({"Origin": ORIGIN}) as client:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key",
        }
        preflight = client.options("/predict", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        refused = client.post("/predict", content=light_image())
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        other = client.get("/models", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
