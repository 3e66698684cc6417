"""The closed loop: `wrk` keeps a number of connections busy and counts the answers."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from loadtest.load.body import BodyFile

POST = Path(__file__).with_name("post.lua")
DELAYED_POST = Path(__file__).with_name("delayed_post.lua")
MISSING = "wrk is not installed. On Debian and Ubuntu: apt-get install wrk"
RESULT_PREFIX = "RESULT "
CONNECTIONS_PER_CORE = 4


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """One run of wrk; latencies are of all answers, or of those that the script selects."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    bad_statuses: int
    socket_errors: int
    wrk_cpu_s: float

    @property
    def requests_per_s(self) -> float:
        """Answers with status 2xx or 3xx per second."""
        return (self.requests - self.bad_statuses) / self.seconds


def saturating(cores: int) -> int:
    """Return the number of connections at which a server's capacity is measured."""
    return CONNECTIONS_PER_CORE * cores


def check_wrk() -> str:
    """Return the path of wrk.

    Raises:
        SystemExit: wrk is not installed; the text says how to install it.
    """
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit(f"error: {MISSING}")
    return path


def run_wrk(
    url: str,
    body: BodyFile,
    connections: int,
    seconds: int,
    script: Path = POST,
    arguments: tuple[str, ...] = (),
    threads: int = 1,
) -> ClosedLoop:
    """Post a file over a number of keep-alive connections for whole seconds."""
    command = [check_wrk(), f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "10s"]
    command += ["-s", str(script), url, "--", str(body.path), body.content_type, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = cast(IO[str], process.stdout).read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"wrk exited with status {process.returncode}: {output[-500:]}")
    return parse_result(output, usage.ru_utime + usage.ru_stime)


def parse_result(output: str, wrk_cpu_s: float) -> ClosedLoop:
    """Read the line that `post.lua` prints at the end.

    Raises:
        ValueError: the output has no such line.
    """
    lines = [line for line in output.splitlines() if line.startswith(RESULT_PREFIX)]
    if not lines:
        raise ValueError(f"wrk printed no result: {output[-500:]!r}")
    found = json.loads(lines[-1].removeprefix(RESULT_PREFIX))
    return ClosedLoop(
        requests=found["requests"],
        seconds=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1000,
        p95_ms=found["p95_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        max_ms=found["max_us"] / 1000,
        bad_statuses=found["bad_statuses"],
        socket_errors=found["socket_errors"],
        wrk_cpu_s=wrk_cpu_s,
    )
