"""`make check-attacks`: what another client notices while hostile clients are at work.

For each attack: a client that sends a photo and one that asks `/healthz`, twenty times a second,
first alone and then beside the attack, and a stop in the middle of it.
"""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from app.settings import Settings
from loadtest.host.gateway import start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import HOST, free_port
from loadtest.load.photos import prepare_photos
from loadtest.report import megabytes, save, table, verdict
from loadtest.robustness.hostile_clients import ATTACKS, GRPC_ATTACKS, PREDICT

PAUSE_S = 0.05
WARM_UP_S, SETTLE_S = 1.0, 1.0
TIMEOUT_S = 30.0
MAX_RATIO, MAX_MORE_MS, MAX_HEALTH_MS = 3, 50, 100
STOP_TIMEOUT_S: float = Settings.model_fields["stop_timeout_s"].default
CONSOLE = Console(stderr=True)


@dataclass(slots=True)
class Seen:
    """What a client saw: latencies of good answers in milliseconds, and the other answers."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[int(0.99 * (len(ordered) - 1))] if ordered else float("inf")


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What other clients saw before and during one attack, and how the service stopped."""

    attack: str
    before: Seen
    during: Seen
    health: Seen
    peak_rss_bytes: int
    stop_s: float

    @property
    def max_p99_ms(self) -> float:
        return max(MAX_RATIO * self.before.p99_ms, self.before.p99_ms + MAX_MORE_MS)

    @property
    def met(self) -> bool:
        return (
            self.during.p99_ms <= self.max_p99_ms
            and max(self.health.latencies_ms, default=float("inf")) < MAX_HEALTH_MS
            and self.stop_s <= STOP_TIMEOUT_S + 1
            and not self.during.failures + self.health.failures
        )


@dataclass(frozen=True, slots=True)
class AttacksResult:
    conditions: Conditions
    attacks: list[AttackResult]


def attack(name: str, store: Path, photo: bytes, seconds: float) -> AttackResult:
    """Start a service, measure it alone and under attack, and stop it."""
    options = ["--grpc-port", str(grpc_port := free_port())] if name in GRPC_ATTACKS else []
    with TemporaryDirectory() as folder:
        server = start_gateway(store, LARGEST, Path(folder) / "server.log", *options)
        with server:
            ask(server.port, photo, WARM_UP_S)
            before, _ = ask(server.port, photo, seconds)
            with hostile_clients(name, grpc_port if options else server.port):
                time.sleep(SETTLE_S)
                during, health = ask(server.port, photo, seconds)
                peak_rss_bytes = server.memory().peak_rss_bytes
                started = time.perf_counter()
                server.stop()
                stop_s = time.perf_counter() - started
    return AttackResult(name, before, during, health, peak_rss_bytes, stop_s)


@contextmanager
def hostile_clients(name: str, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "loadtest.robustness.hostile_clients", name, str(port)]
    process = subprocess.Popen(command)
    try:
        yield
        if process.poll() is not None:
            raise typer.Exit(1)  # its traceback is on the screen
    finally:
        process.kill()
        process.wait()


def ask(port: int, photo: bytes, seconds: float) -> tuple[Seen, Seen]:
    """Send a photo, and beside it ask for /healthz; return what both saw."""
    photos, health, stop_at = Seen(), Seen(), time.perf_counter() + seconds
    threads = [
        threading.Thread(target=ask_until, args=(port, *request, stop_at))
        for request in (("POST", PREDICT, photo, photos), ("GET", "/healthz", b"", health))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return photos, health


def ask_until(port: int, method: str, path: str, body: bytes, seen: Seen, stop_at: float) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    while (started := time.perf_counter()) < stop_at:
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                seen.failures.append(f"{response.status} {text[:200]!r}")
                continue
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            seen.failures.append(repr(error))
            continue
        finally:
            time.sleep(PAUSE_S)
        seen.latencies_ms.append((time.perf_counter() - started - PAUSE_S) * 1000)
    connection.close()


def render(result: AttacksResult) -> str:
    rows = [
        (
            row.attack,
            f"{row.before.p99_ms:.0f} ms",
            f"{row.during.p99_ms:.0f} ms",
            f"{max(row.health.latencies_ms, default=float('inf')):.0f} ms",
            str(len(row.during.failures) + len(row.health.failures)),
            megabytes(row.peak_rss_bytes),
            f"{row.stop_s:.1f} s",
            verdict(row.met),
        )
        for row in result.attacks
    ]
    headings = (
        "attack", "p99 before", "p99 during", "worst /healthz", "failed", "peak memory", "stop",
        "met",
    )  # fmt: skip
    targets = (
        f"Targets: p99 during the attack at most {MAX_RATIO} times that before or {MAX_MORE_MS} ms "
        f"more, /healthz below {MAX_HEALTH_MS} ms, no failure, a stop within "
        f"{STOP_TIMEOUT_S + 1:g} s."
    )
    return f"{result.conditions.describe()} {targets}\n\n{table(headings, rows)}"


def main(
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Length of each attack.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Run only this attack.")] = None,
    store: Annotated[Path, typer.Option(help="Folder with the default model.")] = STORE,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Attack the service in many ways, and measure what another client notices."""
    known = ATTACKS | (GRPC_ATTACKS if find_spec("grpc") else {})
    if unknown := set(only or ()) - set(known):
        raise typer.BadParameter(f"{', '.join(unknown)}. Attacks: {', '.join(known)}.")
    monitor = MachineMonitor()
    with TemporaryDirectory() as folder:
        photo = prepare_photos(Path(folder))["720p"].read_bytes()
    results = []
    for name in track(only or list(known), "attacking", console=CONSOLE):
        results.append(result := attack(name, store, photo, seconds))
        for failure in sorted(set(result.during.failures + result.health.failures)):
            CONSOLE.print(f"{name}: {failure}", highlight=False)
    found = AttacksResult(monitor.conditions(), results)
    save("attacks", render(found), found, publish=publish)
    if not all(result.met for result in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
