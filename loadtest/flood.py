"""`make flood`: three times what the service can do, for a minute, and what becomes of it."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from loadtest import report
from loadtest.closed import write_bodies
from loadtest.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.openloop import OpenLoop, run_open_loop
from loadtest.photos import prepare_photos
from loadtest.server import HOST, Server, start_gateway
from loadtest.wrk import ClosedLoop, run_wrk

PATH = "/predict"
MODEL = "mobilenet_v2_1.0_224"
STORE = Path(__file__).resolve().parents[1] / "models" / "store"
FLOOD = Path(__file__).with_name("lua") / "flood.lua"
OVERLOAD = 3
MEAN_DELAY_MS = 1000
PROBE_A_S = 20  # requests whose latency is looked at, beside the flood
QUEUE_LIMIT = 64  # the default of the setting
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood. Rates are requests a second, memory is resident bytes."""

    machine: Machine
    disturbed: Disturbance
    took_s: float
    workers: int
    capacity_before: float
    flood: ClosedLoop
    probe: OpenLoop
    memory: list[int]
    capacity_after: float

    @property
    def offered(self) -> float:
        return self.flood.requests / self.flood.seconds + self.probe.offered_a_s

    @property
    def goodput(self) -> float:
        """Answers a second that were labels and not refusals."""
        return self.flood.requests_a_s + self.probe.answered_a_s

    @property
    def bound_ms(self) -> float:
        """What the p99 of accepted requests may be: the whole queue ahead of it, and 50 ms."""
        service_s = self.workers / self.capacity_before
        return QUEUE_LIMIT * service_s / self.workers * 1000 + 50


def flood(store: Path, seconds: int) -> Flood:
    """Measure the capacity, flood the service, and measure the capacity again."""
    machine, before, began = this_machine(), cpu_times(), time.monotonic()
    with TemporaryDirectory() as folder:
        photo = next(one for one in prepare_photos(Path(folder)) if "720" in one.name)
        body = next(one for one in write_bodies(photo, Path(folder)) if one.form == "raw")
        with start_gateway(store, MODEL, Path(folder) / "server.log") as server:
            url, kind = server.url(PATH), body.content_type
            connections = 4 * machine.cores
            run_wrk(url, body.path, kind, connections, 2)
            capacity = run_wrk(url, body.path, kind, connections, 8).requests_a_s
            CONSOLE.print(f"capacity {capacity:.0f} requests/s; flooding for {seconds} s")
            with Sampler(server) as sampler:
                loop, probe = _flood_and_probe(server, body.path, kind, capacity, seconds)
            after = run_wrk(url, body.path, kind, connections, 1).requests_a_s
    return Flood(
        machine=machine,
        disturbed=disturbance(before, cpu_times()),
        took_s=time.monotonic() - began,
        workers=machine.cores,
        capacity_before=capacity,
        flood=loop,
        probe=probe,
        memory=sampler.samples,
        capacity_after=after,
    )


def _flood_and_probe(
    server: Server, body: Path, content_type: str, capacity: float, seconds: int
) -> tuple[ClosedLoop, OpenLoop]:
    """wrk's flood, and beside it a few requests on a schedule whose latencies are kept."""
    probes: list[OpenLoop] = []

    def probe() -> None:
        port = server.port
        probes.append(run_open_loop(HOST, port, PATH, body, content_type, PROBE_A_S, seconds))

    thread = threading.Thread(target=probe)
    thread.start()
    connections = round(OVERLOAD * capacity * MEAN_DELAY_MS / 1000)
    loop = run_wrk(
        server.url(PATH),
        body,
        content_type,
        connections,
        seconds,
        script=FLOOD,
        arguments=(str(MEAN_DELAY_MS),),
    )
    thread.join()
    return loop, probes[0]


class Sampler:
    """Looks at the resident memory of a server once a second."""

    def __init__(self, server: Server) -> None:
        self.samples: list[int] = []
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
            self.samples.append(self._server.memory().pss_bytes)


def text(found: Flood) -> str:
    """The table, with each promise beside its figure."""
    rows = [
        ("capacity before", f"{found.capacity_before:.0f} requests/s", ""),
        ("offered", f"{found.offered:.0f} requests/s", f"about {OVERLOAD} x capacity"),
        (
            "goodput",
            f"{found.goodput:.0f} requests/s, {found.goodput / found.capacity_before:.0%}",
            "90 % of capacity",
        ),
        ("p99 of accepted requests", f"{found.probe.p99_ms:.0f} ms", f"{found.bound_ms:.0f} ms"),
        ("p99 of a refusal", f"{found.probe.refused_p99_ms:.0f} ms", ""),
        (
            "memory, first and last third",
            f"{report.megabytes(_mean(found.memory[: len(found.memory) // 3]))}, "
            f"{report.megabytes(_mean(found.memory[-len(found.memory) // 3 :]))}",
            "flat",
        ),
        (
            "capacity in the second after",
            f"{found.capacity_after:.0f} requests/s",
            "back within 1 s",
        ),
        ("failed, neither answered nor refused", str(found.probe.failed), "0"),
    ]
    return "\n\n".join(
        (
            report.describe(found.machine, found.disturbed, found.took_s),
            report.table(("", "seen", "promised"), rows),
        )
    )


def _mean(values: list[int]) -> float:
    return sum(values) / max(1, len(values))


def main(
    seconds: Annotated[int, typer.Option(min=5, max=300, help="Length of the flood.")] = 60,
    store: Annotated[Path, typer.Option(help="Folder with the default model.")] = STORE,
    publish: Annotated[bool, typer.Option(help="Write it into docs/performance.md.")] = True,
) -> None:
    """Flood the service with three times its capacity."""
    found = flood(store, seconds)
    report.write_json("flood", found)
    written = text(found)
    if publish:
        report.publish("flood", written)
    print(written)


if __name__ == "__main__":
    typer.run(main)
