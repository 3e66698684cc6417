"""Every way to deploy asks the right question, and leaves a stop the time that it takes."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.environment import variable
from app.errors import Stopping
from app.service.lifecycle import FLUSH_S
from app.settings import Settings
from tests.app.problems import assert_problem
from tests.conftest import ROOT, SMALL_V1
from tests.deploy import compose_file
from tests.processes import LIVELINESS_S, running, until
from tests.robustness.traffic import classify, light_image

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")

HEALTHCHECK = ROOT / "container" / "healthcheck.py"
HEALTHCHECK_IN_IMAGE = ["python", "-I", "-S", "/opt/gateway/healthcheck.py"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
DOCKER_STOP_S = re.compile(r"--stop-timeout (\d+)")  # its default is 10 s
CLOSING_S = 1  # from the last answer, or the end of the stop timeout, to the end of the process


@dataclass(frozen=True, slots=True)
class Deployment:
    """How one way to deploy asks and stops; `ready` and `alive` are how it probes, if it does."""

    name: str
    stop_s: float  # from the signal that asks for a stop to the one that kills
    stop_signal: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ready: tuple[Any, ...] = ()
    alive: tuple[Any, ...] = ()
    unready_after_s: float = 0.0  # how long it takes to notice that it is not ready

    def setting(self, name: str) -> float:
        default = Settings.model_fields[name].default
        return float(self.settings.get(variable(name), default))


def dockerfile(instruction: str) -> str:
    """The last instruction of a kind, in one line."""
    found = re.findall(rf"^{instruction} ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return str(found[-1]).replace("\\\n", " ")


def image_probe() -> list[str]:
    return [*json.loads(dockerfile("HEALTHCHECK").partition("CMD")[2])]


def seconds(text: str) -> float:
    """A time of Docker's or systemd's, written in seconds."""
    return float(text.strip().removesuffix("s"))


def docker() -> Deployment:
    advice = (ROOT / "docs" / "container.md").read_text("utf-8")
    [stop_s] = DOCKER_STOP_S.findall(advice)
    return Deployment("docker", float(stop_s), dockerfile("STOPSIGNAL"), ready=(image_probe(),))


def composed() -> Iterator[Deployment]:
    """Each service with its defaults, and each board's profile."""
    for label, service in compose_file.gateways():
        own = service.get("healthcheck", {})
        assert not own.get("disable")
        yield Deployment(
            label,
            seconds(service.get("stop_grace_period", "10s")),
            service.get("stop_signal", dockerfile("STOPSIGNAL")),
            compose_file.environment(service),
            ready=(own.get("test", ["CMD", *image_probe()])[1:],),
        )


def kubernetes() -> Deployment:
    text = (ROOT / "deploy" / "kubernetes" / "deployment.yaml").read_text("utf-8")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
    noticing = probes["readiness"]
    return Deployment(
        "kubernetes",
        pod.get("terminationGracePeriodSeconds", 30),
        container.get("lifecycle", {}).get("stopSignal", dockerfile("STOPSIGNAL")),
        {given["name"]: given["value"] for given in container["env"] if "value" in given},
        ready=tuple(probes[kind]["httpGet"]["path"] for kind in ("startup", "readiness")),
        alive=(probes["liveness"]["httpGet"]["path"],),
        unready_after_s=noticing["failureThreshold"] * noticing["periodSeconds"],
    )


def systemd() -> Deployment:
    text = (ROOT / "deploy" / "mobilenet-gateway.service").read_text("utf-8")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    given = re.findall(r"^Environment=(GATEWAY_\w+)=(.+)$", text, re.MULTILINE)
    return Deployment("systemd", seconds(lines["TimeoutStopSec"]), lines["KillSignal"], dict(given))


DEPLOYMENTS = [docker(), *composed(), kubernetes(), systemd()]
every = pytest.mark.parametrize("deployed", DEPLOYMENTS, ids=lambda deployed: deployed.name)


def test_no_deployment_is_left_out() -> None:
    names = {deployed.name for deployed in DEPLOYMENTS}
    boards = {f"compose {path.stem}" for path in ROOT.glob("deploy/*.env")}
    services = {
        f"compose {name}" for name in ("gateway", "raspberrypi", "jetson", "replica", "cameras")
    }
    assert len(boards) == 3
    assert names == {"docker", "kubernetes", "systemd"} | services | boards


@every
def test_it_is_asked_whether_it_is_ready_and_not_only_whether_it_lives(
    deployed: Deployment,
) -> None:
    """A process that stops lives on, and would get requests that it answers with 503."""
    assert all(probe in ("/readyz", HEALTHCHECK_IN_IMAGE) for probe in deployed.ready)
    assert deployed.ready or deployed.name == "systemd"  # which has no probes
    assert all(probe == "/healthz" for probe in deployed.alive)  # a stop must not be cut short


@every
def test_a_stop_has_the_time_that_its_settings_allow(deployed: Deployment) -> None:
    assert deployed.stop_signal == "SIGTERM"
    assert deployed.stop_s > deployed.setting("stop_timeout_s") + CLOSING_S + FLUSH_S
    assert (
        deployed.unready_after_s < deployed.setting("drain_s") < deployed.setting("stop_timeout_s")
    )


def test_the_image_runs_its_check_often_enough_and_with_more_time_than_it_takes() -> None:
    options = dict(re.findall(r"--(\S+?)=(\S+)", dockerfile("HEALTHCHECK")))
    assert options.keys() == {"interval", "timeout", "start-period", "retries"}
    own_s = re.search(r"^TIMEOUT_S = (\d+)$", HEALTHCHECK.read_text("utf-8"), re.MULTILINE)
    assert own_s
    assert float(own_s[1]) < seconds(options["timeout"]) < seconds(options["interval"])


# The check of the image, as its own program


def check(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {n: text for n, text in os.environ.items() if not n.startswith("GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-I", "-S", HEALTHCHECK],
        env={**clean, "GATEWAY_PORT": str(port), "GATEWAY_HOST": "127.0.0.1", **variables},
        capture_output=True,
        text=True,
        timeout=LIVELINESS_S,
        check=False,
    )


@contextmanager
def answering(ready: bytes, certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """A port where /readyz has this status line and everything else is fine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(ready if self.path == "/readyz" else b"HTTP/1.1 200 OK\r\n\r\n")

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client without TLS
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", ["503 Service Unavailable", "500 x", "404 x", "401 x", "302 x"])
def test_any_other_answer_than_200_is_unhealthy_and_shown(status: str) -> None:
    with answering(f"HTTP/1.1 {status}\r\n\r\n".encode()) as port:
        done = check(port)
    assert (done.returncode, done.stderr) == (1, f"not ready: HTTP/1.1 {status}\n")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_no_answer_is_unhealthy(answer: bytes) -> None:
    with answering(answer) as port:
        assert check(port).returncode == 1


def test_with_tls_it_asks_with_tls(certificate: tuple[Path, Path]) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", certificate) as port:
        assert check(port).returncode == 1
        done = check(port, GATEWAY_TLS_CERT=str(certificate[0]))
        assert (done.returncode, done.stderr) == (0, "")


def test_a_service_is_unhealthy_while_it_drains_and_drains_as_long_as_it_is_told(
    store: Path,
) -> None:
    settings = {"models": SMALL_V1, "measure_s": 0, "drain_s": 3600, "stop_timeout_s": 10_000}
    with running(store, **settings) as service:
        assert check(service.port).returncode == 0
        service.signal(signal.SIGTERM)
        until(lambda: "Shutting down: 0 requests" in service.log, "the stop began")
        done = check(service.port)
        assert done.returncode == 1
        assert done.stderr.startswith("not ready: HTTP/1.1 503 ")
        with service.client() as client:
            paths = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
            assert [client.get(path).status_code for path in paths] == [200, 503, 200, 503]
        for _ in range(20):  # without a drain it would be gone in a tenth of a second
            assert_problem(classify(service, light_image()), Stopping)
            time.sleep(0.02)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
