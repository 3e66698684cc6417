"""A server as a process of its own: started on a free port, watched, ended with all its helpers."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from loadtest.host import processes
from loadtest.host.processes import Memory

HOST = "127.0.0.1"
GATEWAY = Path(sys.executable).with_name("mobilenet-gateway")
ADMIN_KEY = "bench"
POLL_S = 0.005
STOP_S = 15.0
# No server of this comparison may phone home, ours included.
QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class ServerError(Exception):
    """The server did not start, or gave a wrong answer; the text says why."""


class Server:
    """A running server; use it as a context manager.

    `ready_s` is the time from starting the process until `ready_path` answered 200.

    Raises:
        ServerError: it ended or was not ready within `start_timeout_s`; with the end of its output.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        ready_path: str,
        *,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path,
        start_timeout_s: float = 60,
    ) -> None:
        self.port = port
        self._log_path = log
        self._known = processes.in_other_sessions(os.getpid())
        self._log: IO[bytes] = log.open("wb")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **QUIET, **(env or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready(ready_path, started + start_timeout_s)
        except BaseException:
            self.stop()
            raise
        self.ready_s = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def pids(self) -> set[int]:
        """The process and all that it started, orphans too."""
        return processes.in_other_sessions(os.getpid()) - self._known

    def memory(self) -> Memory:
        return processes.memory(self.pids())

    def cpu_s(self) -> float:
        return processes.cpu_s(self.pids())

    def get(self, path: str) -> Any:
        """What a resource says in JSON."""
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        """What a resource says."""
        return self._ask("GET", path, b"", {}, 30)

    def measure(self) -> None:
        """Have every variant timed; the server needs ADMIN_KEY."""
        self._ask("POST", "/models/measure", b"", {"X-API-Key": ADMIN_KEY}, 120)

    def post(self, path: str, content_type: str, data: bytes, timeout_s: float = 30) -> str:
        """The answer to one request.

        Raises:
            ServerError: it was not a 200, or none came.
        """
        return self._ask("POST", path, data, {"Content-Type": content_type}, timeout_s)

    def _ask(
        self, method: str, path: str, data: bytes, headers: dict[str, str], timeout_s: float
    ) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"no answer: {error!r}; {self.log_tail()}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise ServerError(f"status {response.status}: {text[:300]}; {self.log_tail()}")
        return text

    def log_tail(self, lines: int = 3) -> str:
        """The last lines of what it printed, as one."""
        text = self._log_path.read_text("utf-8", "replace").strip()
        return " / ".join(text.splitlines()[-lines:])[-500:] or "it printed nothing"

    def stop(self) -> None:
        """Ask it to end; after `STOP_S` end it and whatever it left behind."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        processes.kill(self.pids())
        self._log.close()

    def _wait_until_ready(self, path: str, give_up_at: float) -> None:
        while not self._is_ready(path):
            if self._process.poll() is not None:
                raise ServerError(
                    f"it ended with status {self._process.returncode}: {self.log_tail()}"
                )
            if time.perf_counter() > give_up_at:
                raise ServerError(f"it was not ready in time: {self.log_tail()}")
            time.sleep(POLL_S)

    def _is_ready(self, path: str) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def start_gateway(
    store: Path, model: str, log: Path, env: Mapping[str, str] | None = None
) -> Server:
    """Our own service with one model, as `mobilenet-gateway serve` starts it."""
    port = free_port()
    command = [str(GATEWAY), "serve", "--store", str(store), "--port", str(port)]
    command += ["--models", model, "--default-model", model, "--log-level", "warning"]
    command += ["--measure-s", "0"]  # nothing beside what is measured here
    return Server(command, port, "/readyz", env=env, log=log)


def start_auto(
    store: Path, log: Path, env: Mapping[str, str] | None = None, *options: str
) -> Server:
    """Our own service with all models of a store, choosing for each request."""
    port = free_port()
    command = [str(GATEWAY), "serve", "--store", str(store), "--port", str(port)]
    command += ["--default-model", "auto", "--log-level", "warning", "--measure-s", "0", *options]
    own = {"GATEWAY_ADMIN_KEY": ADMIN_KEY, **(env or {})}
    return Server(command, port, "/readyz", env=own, log=log)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
