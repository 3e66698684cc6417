"""`make bench-peers`: the service beside other model servers, one running at a time."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import report
from loadtest.bench.plan import MANY
from loadtest.bench.run import LARGEST, SMALLEST, prepare
from loadtest.host import processes
from loadtest.host.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.host.processes import Memory
from loadtest.host.server import GATEWAY, Server, ServerError, start_gateway
from loadtest.load.body import Body, raw
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import ClosedLoop, check_wrk, run_wrk
from loadtest.peers import report as peers_report
from loadtest.peers.peer import PeerUnavailable, first_label, read_peers

OURS = "mobilenet-gateway"
WARM_UP_S = 2
CONSOLE = Console(stderr=True)


class Contender(Protocol):
    """A server that can be started with a model and asked about a photo."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def path(self) -> str: ...
    def body(self, image: bytes) -> Body: ...
    def serve(self, model: Path, cores: int, log: Path) -> Server: ...


class Gateway:
    """Our own service, with its defaults."""

    name = OURS
    title = f"**{OURS}**"
    settings = "the defaults, raw JPEG body; request log off"
    path = "/predict"

    def __init__(self, version: str) -> None:
        self.version = version

    def body(self, image: bytes) -> Body:
        return raw(image)

    def serve(self, model: Path, cores: int, log: Path) -> Server:
        return start_gateway(model.parent, model.stem, log)


@dataclass(frozen=True, slots=True)
class PeerRun:
    """One server in one round. `memory` is from right after the load."""

    ready_s: float
    closed: ClosedLoop
    cpu_s: float
    memory: Memory


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rounds with one model: runs by server, and why others have none."""

    model: str
    label: str
    runs: dict[str, list[PeerRun]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeersResult:
    """One run of the side-by-side."""

    machine: Machine
    disturbed: Disturbance
    took_s: float
    connections: int
    rounds: int
    seconds: int
    servers: dict[str, tuple[str, str, str]]  # title, version, settings
    comparisons: list[Comparison]


@dataclass(frozen=True, slots=True)
class Task:
    """What every server is asked, and for how long."""

    model: Path
    image: bytes
    ranked: list[str]  # class names, the right one first
    cores: int
    seconds: int
    folder: Path

    def run(self, contender: Contender) -> PeerRun:
        """Start it, check its answer, load it, look at its memory, stop it.

        Raises:
            ServerError: it did not start, or the answer is wrong.
        """
        body = contender.body(self.image)
        file = body.write(self.folder / "body")
        log = self.folder / f"{contender.name}.log"
        with contender.serve(self.model, self.cores, log) as server:
            answer = server.post(contender.path, body.content_type, body.data)
            label = first_label(answer, self.ranked)
            if label != self.ranked[0]:
                raise ServerError(f"it says {label}, not {self.ranked[0]}")
            url, count = server.url(contender.path), MANY * self.cores
            run_wrk(url, file, body.content_type, count, WARM_UP_S)
            before_s = server.cpu_s()
            closed = run_wrk(url, file, body.content_type, count, self.seconds)
            cpu_s = server.cpu_s() - before_s
            if not closed.requests - closed.bad_statuses:
                raise ServerError(f"it answered nothing under load: {server.log_tail()}")
            return PeerRun(server.ready_s, closed, cpu_s, server.memory())


def rank(model: Path, photo: Path) -> list[str]:
    """The 100 most probable class names, by our own full decoding, in a process of its own."""
    command = [str(GATEWAY), "predict", str(photo), "--json", "--top-k", "100"]
    command += ["--store", str(model.parent), "--model", model.stem]
    env = {**os.environ, "GATEWAY_REDUCED_DECODE": "false"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    predictions = json.loads(done.stdout)["results"][0]["predictions"]
    return [prediction["label"] for prediction in predictions]


def install(names: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """Peers that could be installed, and the reasons of those that could not.

    Raises:
        SystemExit: there is none of such a name, or none could be installed.
    """
    known = [peer.name for peer in read_peers()]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"error: no peer is called {unknown[0]}; there are: {', '.join(known)}")
    ready: list[Contender] = []
    failed: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        for peer in read_peers():
            if names and peer.name not in names:
                continue
            CONSOLE.print(f"{peer.title}: installing into {peer.venv.parent.name}/{peer.name}")
            try:
                peer.install(Path(folder) / "pip.log")
                ready.append(peer)
            except PeerUnavailable as error:
                failed[peer.name] = f"not installed: {error}"
                CONSOLE.print(f"{peer.title}: {failed[peer.name]}", markup=False)
    if not ready:
        raise SystemExit("error: no peer could be installed, so there is nothing to compare with")
    return ready, failed


def turns(contenders: Sequence[Contender], rounds: int) -> Iterator[Contender]:
    """Each one once a round, every round beginning with another."""
    for number in range(rounds):
        first = number % len(contenders)
        yield from (*contenders[first:], *contenders[:first])


def compare(task: Task, turn: Iterator[Contender], progress: Progress) -> Comparison:
    """All rounds with one model; a server that fails once is left out from then on."""
    found = Comparison(task.model.stem, task.ranked[0])
    bar = progress.tasks[0].id
    for contender in turn:
        what = f"{task.model.stem}: {contender.name}"
        progress.update(bar, advance=1, description=f"{what:<42}")
        if contender.name in found.skipped:
            continue
        try:
            found.runs.setdefault(contender.name, []).append(task.run(contender))
        except ServerError as error:
            found.runs.pop(contender.name, None)
            found.skipped[contender.name] = str(error)
            progress.console.print(f"{what}: {error}", markup=False)
    return found


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = Path("models/store"),
    rounds: Annotated[int, typer.Option(min=1, help="Times that each server runs.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Length of a run under load.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Peers to run; default: all.")] = None,
    publish: Annotated[bool, typer.Option(help="Fill docs/performance.md, if all run.")] = True,
) -> None:
    """Install the peers, run everything in turn, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    peers, failed = install(only or [])
    machine, before, started = this_machine(), cpu_times(), time.monotonic()
    contenders: list[Contender] = [Gateway(machine.packages[OURS]), *peers]
    comparisons = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        TemporaryDirectory() as name,
        Progress(*columns, console=CONSOLE, transient=True) as progress,
    ):
        folder = Path(name)
        photo = prepare_photos(folder / "photos")[0].path
        progress.add_task("start", total=2 * rounds * len(contenders))
        for model in (LARGEST, SMALLEST):
            file = prepare(model, store, folder)
            ranked = rank(file, photo)
            task = Task(file, photo.read_bytes(), ranked, machine.cores, seconds, folder)
            comparisons.append(compare(task, turns(contenders, rounds), progress))
            comparisons[-1].skipped.update(failed)
    result = PeersResult(
        machine,
        disturbance(before, cpu_times()),
        time.monotonic() - started,
        MANY * machine.cores,
        rounds,
        seconds,
        {each.name: (each.title, each.version, each.settings) for each in contenders},
        comparisons,
    )
    text = peers_report.render(result, OURS)
    print(text)
    report.write_json("peers", result)
    report.write_markdown("peers", text)
    if publish and not only:  # a part would take the place of the whole comparison
        report.publish("peers", text)


if __name__ == "__main__":
    typer.run(main)
