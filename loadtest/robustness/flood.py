"""`make flood`: three times what the service can do, for a minute, and what becomes of it."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from app.settings import Settings
from app.system.cores import usable_cores
from loadtest import report
from loadtest.bench.rounds import BodyFile, write_bodies
from loadtest.host.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.host.server import Server, start_gateway
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import ClosedLoop, check_wrk, run_wrk

PATH = "/predict"
COUNTER = "gateway_requests_total"
MODEL = "mobilenet_v2_1.0_224"
STORE = Path(__file__).resolve().parents[2] / "models" / "store"
SCRIPT = Path(__file__).parents[1] / "load" / "delayed_post.lua"
OVERLOAD = 3
MEAN_DELAY_MS = 1000
# wrk looks through the timers of all connections of a thread at every event. In one thread that
# took half of its processor time, which came out of the service's.
THREADS = 16
# 499 are those that wait when wrk's time is over, and it hangs up.
EXPECTED = ("200", "503", "499")
WARM_S, CAPACITY_S, RECOVERY_S = 3, 10, 1
QUEUE_LIMIT: int = Settings.model_fields["queue_limit"].default
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood. Rates are requests a second; a sample of the memory (PSS) is taken each second.

    `statuses` counts the answers by status as the service does.
    """

    machine: Machine
    disturbed: Disturbance
    took_s: float
    capacity_before: float
    flood: ClosedLoop
    statuses: dict[str, int]
    pss_bytes: list[int]
    recovered: float
    capacity_after: float

    @property
    def capacity(self) -> float:
        """What the machine carried around the flood: it does not carry the same every minute."""
        return (self.capacity_before + self.capacity_after) / 2

    @property
    def offered(self) -> float:
        return self.flood.requests / self.flood.seconds

    @property
    def goodput(self) -> float:
        """Answers a second that were labels and not refusals."""
        return self.flood.requests_per_s

    @property
    def failed(self) -> int:
        """Requests that were neither answered nor refused."""
        others = [count for status, count in self.statuses.items() if status not in EXPECTED]
        return sum(others) + self.flood.socket_errors

    @property
    def bound_ms(self) -> float:
        """What the p99 of accepted requests may be: queue_limit x service time / workers + 50 ms.

        The service time divided by the workers is the time for one request at capacity.
        """
        return QUEUE_LIMIT / self.capacity * 1000 + 50


def flood(store: Path, seconds: int) -> Flood:
    """Measure the capacity, flood the service, and measure the capacity again."""
    machine, before, began = this_machine(), cpu_times(), time.monotonic()
    with TemporaryDirectory() as folder:
        photo = next(one for one in prepare_photos(Path(folder)) if "720" in one.name)
        body = next(one for one in write_bodies(photo, Path(folder)) if one.form == "raw")
        with start_gateway(store, MODEL, Path(folder) / "server.log") as server:
            _capacity(server, body, WARM_S)
            capacity = _capacity(server, body, CAPACITY_S)
            CONSOLE.print(f"capacity {capacity:.0f} requests/s; flooding for {seconds} s")
            earlier = count_statuses(server.text("/metrics"))
            with Sampler(server) as sampler:
                loop = _flood(server, body, capacity, seconds)
            recovered = _capacity(server, body, RECOVERY_S)
            statuses = count_statuses(server.text("/metrics")) - earlier
            after = _capacity(server, body, CAPACITY_S)
    return Flood(
        machine=machine,
        disturbed=disturbance(before, cpu_times()),
        took_s=time.monotonic() - began,
        capacity_before=capacity,
        flood=loop,
        statuses=dict(statuses),
        pss_bytes=sampler.pss_bytes,
        recovered=recovered,
        capacity_after=after,
    )


def _capacity(server: Server, body: BodyFile, seconds: int) -> float:
    """Requests a second from four clients a core that wait for nothing but their answers."""
    url, connections = server.url(PATH), 4 * usable_cores().count
    return run_wrk(url, body.path, body.content_type, connections, seconds).requests_per_s


def _flood(server: Server, body: BodyFile, capacity: float, seconds: int) -> ClosedLoop:
    """As many clients as it takes when each sends about once a second."""
    clients = OVERLOAD * capacity * MEAN_DELAY_MS / 1000
    clients_per_thread = max(1, round(clients / THREADS))
    return run_wrk(
        server.url(PATH),
        body.path,
        body.content_type,
        THREADS * clients_per_thread,
        seconds,
        script=SCRIPT,
        arguments=(str(MEAN_DELAY_MS),),
        threads=THREADS,
    )


def count_statuses(metrics: str) -> Counter[str]:
    """How many requests for predictions a service has answered, by status, from its metrics."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == COUNTER and sample.labels["route"] == PATH:
                found[sample.labels["status"]] += int(sample.value)
    return found


class Sampler:
    """Looks at the memory of a server, as PSS, once a second."""

    def __init__(self, server: Server) -> None:
        self.pss_bytes: list[int] = []
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1):
            self.pss_bytes.append(self._server.memory().pss_bytes)


def text(found: Flood) -> str:
    """The table, with each promise beside its figure."""
    third = max(1, len(found.pss_bytes) // 3)
    rows = [
        ("capacity before and after", f"{found.capacity:.0f} requests/s", ""),
        ("offered", f"{found.offered:.0f} requests/s", f"about {OVERLOAD} x capacity"),
        (
            "goodput",
            f"{found.goodput:.0f} requests/s, {report.percent(found.goodput / found.capacity)}",
            "90 % of capacity",
        ),
        ("p99 of accepted requests", f"{found.flood.p99_ms:.0f} ms", f"{found.bound_ms:.0f} ms"),
        (
            "memory, first and last third",
            f"{report.megabytes(mean(found.pss_bytes[:third]))}, "
            f"{report.megabytes(mean(found.pss_bytes[-third:]))}",
            "flat",
        ),
        ("capacity in the second after", f"{found.recovered:.0f} requests/s", "back within 1 s"),
        ("failed, neither answered nor refused", str(found.failed), "0"),
    ]
    return "\n\n".join(
        (
            report.describe(found.machine, found.disturbed, found.took_s),
            report.table(("", "seen", "promised"), rows),
        )
    )


def main(
    seconds: Annotated[int, typer.Option(min=5, max=300, help="Length of the flood.")] = 60,
    store: Annotated[Path, typer.Option(help="Folder with the default model.")] = STORE,
    publish: Annotated[bool, typer.Option(help="Write it into docs/performance.md.")] = True,
) -> None:
    """Flood the service with three times its capacity."""
    check_wrk()
    found = flood(store, seconds)
    report.write_json("flood", found)
    written = text(found)
    if publish:
        report.publish("flood", written)
    print(written)


if __name__ == "__main__":
    typer.run(main)
