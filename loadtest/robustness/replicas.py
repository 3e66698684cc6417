"""`make check-replicas`: what a replica that starts later gets of clients that keep connections.

HAProxy stands in front of two services with one worker each. It hands over connections, not
requests, as the services of Kubernetes do. `random` is what kube-proxy does.
"""

import asyncio
import shutil
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, Self

import httpx
import typer
from rich.console import Console

from loadtest.host.gateway import start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import HOST, Server, free_port
from loadtest.load.body import PATH
from loadtest.load.photos import prepare_photos
from loadtest.report import percent, save, table
from loadtest.robustness.flood import count_statuses

Balance = Literal["random", "leastconn"]
CLIENTS = 24
PERIOD_S = 1.0  # between requests of one client, like a camera's
ALONE_S, TOGETHER_S, WINDOW_S = 10, 30, 10
SHARE = 0.4  # of the traffic that the second replica shall have within `TOGETHER_S`
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class ReplicaResult:
    """`shares` is the second replica's share of the requests of each second, from its readiness."""

    conditions: Conditions
    balance: str
    statuses: dict[str, int]
    shares: list[float]

    @property
    def last_share(self) -> float:
        """The share over the last `WINDOW_S`."""
        last = self.shares[-WINDOW_S:]
        return sum(last) / len(last)


@dataclass
class Cameras:
    """Clients that each keep one connection and send a photo every `PERIOD_S`."""

    url: str
    photo: bytes
    outcomes: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        await asyncio.gather(*(self._camera(number) for number in range(CLIENTS)))

    async def _camera(self, number: int) -> None:
        await asyncio.sleep(PERIOD_S * number / CLIENTS)
        headers = {"Content-Type": "image/jpeg"}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            while not self._stop.is_set():
                due = time.monotonic() + PERIOD_S
                try:
                    answer = await client.post(PATH, content=self.photo, headers=headers)
                    self.outcomes[str(answer.status_code)] += 1
                except httpx.HTTPError as error:
                    self.outcomes[type(error).__name__] += 1
                await asyncio.sleep(max(0.0, due - time.monotonic()))


def measure(store: Path, balance: Balance) -> ReplicaResult:
    """Start one replica under load, then the other, and watch the second one's share."""
    monitor = MachineMonitor()
    with TemporaryDirectory() as name:
        folder = Path(name)
        photo = prepare_photos(folder)["500x375"].read_bytes()
        second_port = free_port()
        with _replica(store, folder, "first", free_port()) as first:
            front = _front(folder, balance, first.port, second_port)
            # The cameras end before the second replica, whose stop would cut some of them off.
            with (
                front,
                ExitStack() as replicas,
                Cameras(f"http://{HOST}:{front.port}", photo) as cameras,
            ):
                time.sleep(ALONE_S)
                second = replicas.enter_context(_replica(store, folder, "second", second_port))
                shares = _shares(first, second)
    return ReplicaResult(monitor.conditions(), balance, dict(cameras.outcomes), shares)


def _replica(store: Path, folder: Path, name: str, port: int) -> Server:
    workers = ("--workers", "1", "--lone-image-threads", "1")
    return start_gateway(store, LARGEST, folder / f"{name}.log", *workers, port=port)


def _shares(first: Server, second: Server) -> list[float]:
    shares = []
    before = [_answered(first), _answered(second)]
    for _ in range(TOGETHER_S):
        time.sleep(1)
        now = [_answered(first), _answered(second)]
        new = [after - earlier for after, earlier in zip(now, before, strict=True)]
        shares.append(new[1] / max(1, sum(new)))
        before = now
    return shares


def _answered(server: Server) -> int:
    return count_statuses(server.get("/metrics")).total()


def _front(folder: Path, balance: Balance, *ports: int) -> Server:
    """HAProxy, which sends connections to the replicas that are ready."""
    port, health = free_port(), free_port()
    backends = "".join(
        f"  server s{at} {HOST}:{at} check inter 500ms fall 2 rise 1\n" for at in ports
    )
    (folder / "haproxy.cfg").write_text(
        "defaults\n  timeout connect 5s\n  timeout client 120s\n  timeout server 120s\n"
        f"frontend health\n  mode http\n  bind {HOST}:{health}\n  monitor-uri /readyz\n"
        f"frontend front\n  mode tcp\n  bind {HOST}:{port}\n  default_backend replicas\n"
        f"backend replicas\n  mode tcp\n  balance {balance}\n  option httpchk GET /readyz\n"
        "  option redispatch 1\n"  # a server counts as ready before its first check
        f"{backends}"
    )
    command = ["haproxy", "-W", "-db", "-f", str(folder / "haproxy.cfg")]
    front = Server(command, health, "/readyz", env={}, log=folder / "haproxy.log")
    front.port = port
    return front


def render(result: ReplicaResult) -> str:
    failed = {k: n for k, n in result.statuses.items() if k not in ("200", "503")}
    reached = next((s for s, share in enumerate(result.shares, 1) if share >= SHARE), None)
    rows = [
        ("second replica's share, last 10 s", percent(result.last_share), percent(SHARE)),
        (f"first second with {percent(SHARE)}", str(reached or "never"), str(TOGETHER_S)),
        ("answered", str(result.statuses.get("200", 0)), ""),
        ("failed, but for answered 503s", str(sum(failed.values())), "0"),
    ]
    head = f"{result.conditions.describe()}, {CLIENTS} clients, HAProxy `{result.balance}`"
    return f"{head}\n\n" + table(("", "measured", "target"), rows)


def main(
    balance: Annotated[Balance, typer.Option(help="How HAProxy chooses a replica.")] = "random",
    store: Annotated[Path, typer.Option(help="Folder with the default model.")] = STORE,
) -> None:
    """Start a second replica under steady load, and report its share of the requests."""
    if shutil.which("haproxy") is None:
        raise SystemExit("error: haproxy is not installed. In Debian: apt-get install haproxy")
    result = measure(store, balance)
    save(f"replicas-{balance}", render(result), result, publish=False)
    failed = result.statuses.keys() - {"200", "503"}
    if failed or result.last_share < SHARE:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
