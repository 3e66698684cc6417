"""`make flood`: three times the service's capacity for a minute."""

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Annotated, Self

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from app.settings import Settings
from loadtest.host.gateway import start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile, write_body
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import DELAYED_POST, ClosedLoop, check_wrk, run_wrk, saturating
from loadtest.report import megabytes, percent, save, table

COUNTER = "gateway_requests_total"
OVERLOAD = 3
MEAN_DELAY_MS = 1000
# wrk searches the timers of all connections of a thread at every event. With one thread that took
# half of its CPU time, which the service then lacked.
THREADS = 16
# 499: requests that are queued when wrk stops and closes its connections.
EXPECTED_STATUSES = ("200", "503", "499")
WARM_UP_S, CAPACITY_S, RECOVERY_S = 3, 10, 1
QUEUE_LIMIT: int = Settings.model_fields["queue_limit"].default
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class FloodResult:
    """One flood. Rates are requests per second; memory (PSS) is sampled once a second.

    `statuses` counts the answers by status, from the service's own metrics.
    """

    conditions: Conditions
    capacity_before: float
    flood: ClosedLoop
    statuses: dict[str, int]
    pss_bytes: list[int]
    recovered: float
    capacity_after: float

    @property
    def capacity(self) -> float:
        """The mean of the capacities before and after, because a machine's speed varies."""
        return (self.capacity_before + self.capacity_after) / 2

    @property
    def offered(self) -> float:
        return self.flood.requests / self.flood.seconds

    @property
    def goodput(self) -> float:
        """Accepted requests per second."""
        return self.flood.requests_per_s

    @property
    def failed(self) -> int:
        """Requests that were neither answered nor rejected."""
        expected = sum(self.statuses.get(status, 0) for status in EXPECTED_STATUSES)
        return sum(self.statuses.values()) - expected + self.flood.socket_errors

    @property
    def max_p99_ms(self) -> float:
        """The target for accepted requests: queue_limit x service time / workers + 50 ms.

        The service time divided by the workers is the time for one request at capacity.
        """
        return QUEUE_LIMIT / self.capacity * 1000 + 50


def flood(store: Path, seconds: int) -> FloodResult:
    """Measure the capacity, flood the service, and measure the capacity again."""
    monitor = MachineMonitor()
    connections = saturating(monitor.machine.cores)
    with TemporaryDirectory() as folder:
        body = write_body(prepare_photos(Path(folder))["720p"], Path(folder))
        with start_gateway(store, LARGEST, Path(folder) / "server.log") as server:
            _capacity(server, body, connections, WARM_UP_S)
            capacity_before = _capacity(server, body, connections, CAPACITY_S)
            CONSOLE.print(f"capacity: {capacity_before:.0f} requests/s; flooding for {seconds} s")
            earlier = count_statuses(server.get("/metrics"))
            with MemorySampler(server) as sampler:
                loop = _flood(server, body, capacity_before, seconds)
            recovered = _capacity(server, body, connections, RECOVERY_S)
            statuses = count_statuses(server.get("/metrics")) - earlier
            capacity_after = _capacity(server, body, connections, CAPACITY_S)
    return FloodResult(
        conditions=monitor.conditions(),
        capacity_before=capacity_before,
        flood=loop,
        statuses=dict(statuses),
        pss_bytes=sampler.pss_bytes,
        recovered=recovered,
        capacity_after=capacity_after,
    )


def _capacity(server: Server, body: BodyFile, connections: int, seconds: int) -> float:
    """Return the requests per second of clients that send as soon as they have an answer."""
    return run_wrk(server.url(PATH), body, connections, seconds).requests_per_s


def _flood(server: Server, body: BodyFile, capacity: float, seconds: int) -> ClosedLoop:
    """Run as many clients as the overload takes when each sends about once a second."""
    clients = OVERLOAD * capacity * MEAN_DELAY_MS / 1000
    clients_per_thread = max(1, round(clients / THREADS))
    return run_wrk(
        server.url(PATH),
        body,
        THREADS * clients_per_thread,
        seconds,
        script=DELAYED_POST,
        arguments=(str(MEAN_DELAY_MS),),
        threads=THREADS,
    )


def count_statuses(metrics: str) -> Counter[str]:
    """Count the requests for predictions that a service has answered, by status."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == COUNTER and sample.labels["route"] == PATH:
                found[sample.labels["status"]] += int(sample.value)
    return found


class MemorySampler:
    """Samples the memory (PSS) of a server once a second; use it as a context manager."""

    def __init__(self, server: Server) -> None:
        self.pss_bytes: list[int] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1):
            self.pss_bytes.append(self._server.memory().pss_bytes)


def render(result: FloodResult) -> str:
    third = max(1, len(result.pss_bytes) // 3)
    memory = mean(result.pss_bytes[:third]), mean(result.pss_bytes[-third:])
    goodput_ratio = percent(result.goodput / result.capacity)
    max_p99 = f"{result.max_p99_ms:.0f} ms"
    rows = [
        ("capacity before and after", f"{result.capacity:.0f} requests/s", ""),
        ("offered", f"{result.offered:.0f} requests/s", f"about {OVERLOAD} x capacity"),
        ("goodput", f"{result.goodput:.0f} requests/s, {goodput_ratio}", "90 % of capacity"),
        ("p99 of accepted requests", f"{result.flood.p99_ms:.0f} ms", max_p99),
        ("memory, first and last third", ", ".join(map(megabytes, memory)), "flat"),
        ("capacity in the second after", f"{result.recovered:.0f} requests/s", "back within 1 s"),
        ("failed, neither answered nor rejected", str(result.failed), "0"),
    ]
    return f"{result.conditions.describe()}\n\n" + table(("", "measured", "target"), rows)


def main(
    seconds: Annotated[int, typer.Option(min=5, max=300, help="Length of the flood.")] = 60,
    store: Annotated[Path, typer.Option(help="Folder with the default model.")] = STORE,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Flood the service with three times its capacity."""
    check_wrk()
    result = flood(store, seconds)
    save("flood", render(result), result, publish=publish)


if __name__ == "__main__":
    typer.run(main)
