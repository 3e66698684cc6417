"""A server in a process of its own: started, watched, and stopped with all its child processes."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from loadtest.host import processes
from loadtest.host.processes import Memory

HOST = "127.0.0.1"
POLL_S = 0.005
STOP_S = 15.0
# No server in a comparison may send telemetry, this project's included.
NO_TELEMETRY = {
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
        ServerError: it exited, or was not ready within `start_timeout_s`.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        ready_path: str,
        *,
        env: Mapping[str, str],
        folder: Path | None = None,
        log: Path,
        start_timeout_s: float = 60,
    ) -> None:
        self.port = port
        self._log_path = log
        self._earlier_pids = processes.in_other_sessions(os.getpid())
        self._log: IO[bytes] = log.open("wb")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **NO_TELEMETRY, **env},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready(ready_path, self._started + start_timeout_s)
        except BaseException:
            self.stop()
            raise
        self.ready_s = self.age_s()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def pids(self) -> set[int]:
        """Return the process and all its descendants, orphans included."""
        return processes.in_other_sessions(os.getpid()) - self._earlier_pids

    def memory(self) -> Memory:
        return processes.memory(self.pids())

    def age_s(self) -> float:
        """The time since the process was started."""
        return time.perf_counter() - self._started

    def cpu_s(self) -> float:
        return processes.cpu_s(self.pids())

    def get(self, path: str, timeout_s: float = 30) -> str:
        return self.request("GET", path, timeout_s=timeout_s)

    def post(self, path: str, content_type: str, data: bytes) -> str:
        return self.request("POST", path, data, {"Content-Type": content_type})

    def request(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30,
    ) -> str:
        """Return the text of the answer to one request.

        Raises:
            ServerError: there was no answer, or its status was not 200.
        """
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"no answer: {error!r}; {self.log_tail()}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise ServerError(f"status {response.status}: {text[:300]}; {self.log_tail()}")
        return text

    def log_tail(self) -> str:
        """Return the last three lines of the server's output as one line."""
        text = self._log_path.read_text("utf-8", "replace").strip()
        return " / ".join(text.splitlines()[-3:])[-500:] or "no output"

    def stop(self) -> None:
        """Send SIGTERM; after `STOP_S`, kill the server and all its remaining descendants."""
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
                status = self._process.returncode
                raise ServerError(f"the server exited with status {status}: {self.log_tail()}")
            if time.perf_counter() > give_up_at:
                raise ServerError(f"the server was not ready in time: {self.log_tail()}")
            time.sleep(POLL_S)

    def _is_ready(self, path: str) -> bool:
        try:
            self.get(path, timeout_s=5)
        except ServerError:
            return False
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
