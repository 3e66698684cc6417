"""The real `mobilenet-gateway serve` as a process of its own, which always ends with the test."""

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

LIVELINESS_S = 180  # more than anything takes on a loaded machine, far less than for ever
COMMAND = str(Path(sys.executable).with_name("mobilenet-gateway"))
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the usual ones take long to read
COVERAGE = "COVERAGE_PROCESS_CONFIG"
# For a service that a test lets end by itself, which is when coverage is written: one that is
# killed would run at half its speed for nothing.
MEASURED = {name: text for name, text in os.environ.items() if name == COVERAGE}
LISTENING = re.compile(r"listening on (https?)://[^\s]*:(\d+)")


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log_file: Path
    base_url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    @property
    def resident_bytes(self) -> int:
        return self._status_bytes("VmRSS")

    @property
    def peak_resident_bytes(self) -> int:
        return self._status_bytes("VmHWM")

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            timeout=LIVELINESS_S,
            trust_env=False,
            headers=headers,
            verify=NO_AUTHORITIES,
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(LIVELINESS_S)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric with these labels."""
        with self.client() as client:
            text = client.get("/metrics").text
        return metric_of(text, name, **labels)

    def _status_bytes(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) * 1024


def metric_of(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of a metric with these labels in the text format of Prometheus.

    No such sample is 0, no such metric a mistake of the test or the service.
    """
    family = re.sub("_(count|sum|bucket)$", "", name)
    assert re.search(f"^# TYPE ({name}|{family}) ", text, re.MULTILINE), f"no metric {name}"
    total = 0.0
    for line in text.splitlines():
        sample, _, value = line.rpartition(" ")
        wanted = all(f'{label}="{text}"' in sample for label, text in labels.items())
        if sample.partition("{")[0] == name and wanted:
            total += float(value)
    return total


def environment(store: Path, **settings: object) -> dict[str, str]:
    """This process's environment with these settings and no others; upper-case names go as is."""
    given = {name: text for name, text in os.environ.items() if not name.startswith("GATEWAY_")}
    chosen = {"store": store, "port": 0} | settings
    for name, value in chosen.items():
        given[name if name.isupper() else f"GATEWAY_{name.upper()}"] = str(value)
    return given


def launch(store: Path, log_file: Path, **settings: object) -> subprocess.Popen[bytes]:
    """Start the service without waiting for it.

    Its coverage is measured with `**MEASURED` only.
    """
    env = environment(store, **settings)
    if COVERAGE not in settings:
        env.pop(COVERAGE, None)
    with log_file.open("wb") as log:
        return subprocess.Popen(
            # Under nohup, SIGHUP would be ignored from the start: see `handles_signals`.
            ["env", "--default-signal=HUP", COMMAND, "serve"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def handles_signals(pid: int) -> bool:
    """Whether a service has its handlers, of which that of SIGHUP comes last.

    Coverage catches SIGTERM and Python SIGINT before, unless a shell had it ignored.
    """
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    masks = {name: int(mask, 16) for name, mask in re.findall(r"(Sig\w+):\s+([0-9a-f]+)", status)}
    caught = all(masks["SigCgt"] >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGINT))
    return caught and bool(masks["SigIgn"] >> (signal.SIGHUP - 1) & 1)


def cpu_ticks(pid: int) -> int:
    """The processor time that a process has used, in hundredths of a second as a rule."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def failed_start(store: Path, **settings: object) -> str:
    """What a service says that cannot start: one line, after what it logged, and status 1."""
    done = subprocess.run(
        [COMMAND, "serve"],
        env=environment(store, log_level="error", **settings),
        capture_output=True,
        text=True,
        timeout=LIVELINESS_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@contextmanager
def running(store: Path, **settings: object) -> Iterator[Service]:
    """A service that listens on a free port; killed at the end if it still runs."""
    with TemporaryDirectory(prefix="gateway-") as folder:
        log_file = Path(folder) / "log.txt"
        process = launch(store, log_file, **settings)
        try:
            yield Service(process, log_file, _await_address(process, log_file))
        finally:
            process.kill()
            process.wait(LIVELINESS_S)


def until(holds: Callable[[], object], what: str) -> None:
    """Ask again and again until `holds()` is true; fail if it never is.

    The longer it takes, the longer the pauses: what is waited for needs the processor too.
    """
    began = time.monotonic()
    while not holds():
        waited_s = time.monotonic() - began
        assert waited_s < LIVELINESS_S, f"waited in vain: {what}"
        time.sleep(min(0.01 + waited_s / 10, 0.2))


def _await_address(process: subprocess.Popen[bytes], log_file: Path) -> str:
    def listening() -> bool:
        assert process.poll() is None, log_file.read_text("utf-8")
        return bool(LISTENING.search(log_file.read_text("utf-8")))

    until(listening, "the service listens")
    found = LISTENING.search(log_file.read_text("utf-8"))
    assert found
    return f"{found[1]}://127.0.0.1:{found[2]}"
