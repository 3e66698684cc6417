"""`make bench-lone`: a lone image on one core and on all, by two services that take turns."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from loadtest.bench.plan import TARGET_PHOTO
from loadtest.host import processes
from loadtest.host.gateway import start_default, start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, LARGEST_INT8, STORE, make_default_store, make_store
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile, write_body
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk, run_wrk, saturating
from loadtest.peers.peer import PeerUnavailable, read_peers
from loadtest.report import number, save, table, verdict

MODELS = (LARGEST, LARGEST_INT8)
PLAIN = "fastapi"  # the peer that the default install is compared with
WARM_UP_S = 4  # the second session opens within 2 s of the first image
# At one connection: p50 by model, and processor time; at more: processor time. On against off.
MAX_P50 = {LARGEST: 0.75, LARGEST_INT8: 0.85}
MAX_CPU_ALONE, MAX_CPU_LOADED = 1.25, 1.01
MAX_P50_OF_PLAIN = 0.50
RUN_S = 2


@dataclass(frozen=True, slots=True)
class Side:
    """One run of wrk against one of the services."""

    p50_ms: float
    cpu_ms: float  # of the service, for a request


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs, one after the other."""

    off: Side
    on: Side


@dataclass(frozen=True, slots=True)
class Turns:
    """All pairs of a model at a number of connections."""

    model: str
    connections: int
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class LoneImageResult:
    """`against_plain` has plain FastAPI as `off` and the default install as `on`."""

    conditions: Conditions
    turns: list[Turns]
    against_plain: list[Pair]


class Subject:
    """A service with its processor time."""

    def __init__(self, server: Server, pids: set[int], body: BodyFile) -> None:
        self._url = server.url(PATH)
        self._pids = pids
        self._body = body

    def run(self, connections: int, seconds: int) -> Side:
        before_s = processes.cpu_s(self._pids)
        closed = run_wrk(self._url, self._body, connections, seconds)
        cpu_s = processes.cpu_s(self._pids) - before_s
        return Side(closed.p50_ms, cpu_s * 1000 / closed.requests)


def measure(file: Path, body: BodyFile, log: Path, counts: list[int], rounds: int) -> list[Turns]:
    """Measure one model at each number of connections."""
    store, model = file.parent, file.stem
    with start_gateway(store, model, log, "--lone-image-threads", "1") as first:
        pids = first.pids()
        with start_gateway(store, model, log.with_suffix(".on")) as second:
            off, on = Subject(first, pids, body), Subject(second, second.pids(), body)
            for subject in (off, on):
                subject.run(1, WARM_UP_S)
            return [
                Turns(model, connections, take_turns(off, on, connections, rounds))
                for connections in counts
            ]


def measure_plain(store: Path, photo: Path, body: BodyFile, rounds: int) -> list[Pair]:
    """Measure the default install beside plain FastAPI with the float form, at one connection.

    Raises:
        PeerUnavailable: FastAPI's environment cannot be made.
    """
    folder = body.path.parent
    [peer] = (peer for peer in read_peers() if peer.name == PLAIN)
    peer.install(folder / "pip.log")
    sent = peer.body(photo.read_bytes())
    form = BodyFile(peer.form, folder / "plain", sent.content_type)
    form.path.write_bytes(sent.data)
    cores = MachineMonitor().machine.cores
    with peer.serve(store / f"{LARGEST}.onnx", cores, folder / "plain.log") as first:
        pids = first.pids()
        with start_default(store, folder / "default.log") as second:
            plain, default = Subject(first, pids, form), Subject(second, second.pids(), body)
            for subject in (plain, default):
                subject.run(1, WARM_UP_S)
            return take_turns(plain, default, 1, rounds)


def take_turns(off: Subject, on: Subject, connections: int, rounds: int) -> list[Pair]:
    """Run both again and again, in an order that changes with every round."""
    pairs = []
    for turn in range(rounds):
        order = (off, on) if turn % 2 else (on, off)
        sides = {subject: subject.run(connections, RUN_S) for subject in order}
        pairs.append(Pair(sides[off], sides[on]))
    return pairs


def render(result: LoneImageResult) -> str:
    rows = []
    for turns in result.turns:
        alone = turns.connections == 1
        p50 = [pair.on.p50_ms / pair.off.p50_ms for pair in turns.pairs]
        cpu = [pair.on.cpu_ms / pair.off.cpu_ms for pair in turns.pairs]
        max_p50 = MAX_P50.get(turns.model) if alone else None
        max_cpu = MAX_CPU_ALONE if alone else MAX_CPU_LOADED
        met = median(cpu) <= max_cpu and (max_p50 is None or median(p50) <= max_p50)
        rows.append(
            (
                f"`{turns.model}`",
                turns.connections,
                number(median(pair.off.p50_ms for pair in turns.pairs)),
                number(median(pair.on.p50_ms for pair in turns.pairs)),
                _ratio(p50),
                f"{max_p50:.2f}" if max_p50 else "-",
                number(median(pair.off.cpu_ms for pair in turns.pairs)),
                number(median(pair.on.cpu_ms for pair in turns.pairs)),
                _ratio(cpu),
                f"{max_cpu:.2f}",
                verdict(met),
            )
        )
    headings = ("model", "connections", "p50 ms, off", "on", "ratio", "at most", "CPU ms, off")
    shown = table((*headings, "on", "ratio", "at most", "met"), rows)
    return "\n\n".join([result.conditions.describe(), shown, *_against_plain(result)])


def _against_plain(result: LoneImageResult) -> list[str]:
    pairs = result.against_plain
    if not pairs:
        return []
    p50 = [pair.on.p50_ms / pair.off.p50_ms for pair in pairs]
    row = (
        "default install against plain FastAPI",
        number(median(pair.off.p50_ms for pair in pairs)),
        number(median(pair.on.p50_ms for pair in pairs)),
        _ratio(p50),
        f"{MAX_P50_OF_PLAIN:.2f}",
        number(median(pair.off.cpu_ms for pair in pairs)),
        number(median(pair.on.cpu_ms for pair in pairs)),
        _ratio([pair.on.cpu_ms / pair.off.cpu_ms for pair in pairs]),
        verdict(median(p50) <= MAX_P50_OF_PLAIN),
    )
    headings = ("one connection", "p50 ms, FastAPI", "ours", "ratio", "at most", "CPU ms, FastAPI")
    about = "FastAPI serves the float form with onnxruntime's defaults, which use all cores."
    return [about, table((*headings, "ours", "ratio", "met"), [row])]


def _ratio(ratios: list[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.2f} - {max(ratios):.2f})"


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 10,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Measure the default model's forms with and without the second session, in turns.

    The default install is also measured beside plain FastAPI.
    """
    check_wrk()
    processes.adopt_orphans()
    monitor = MachineMonitor()
    counts = [1, monitor.machine.cores, saturating(monitor.machine.cores)]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photo = prepare_photos(folder / "photos")[TARGET_PHOTO]
        body = write_body(photo, folder)
        turns = []
        against_plain: list[Pair] = []
        for model in MODELS:
            if (store / f"{model}.onnx").is_file():
                file = make_store(model, store, folder)
                turns += measure(file, body, folder / "server.log", counts, rounds)
        if both := make_default_store(store, folder):
            try:
                against_plain = measure_plain(both, photo, body, rounds)
            except PeerUnavailable as error:
                typer.echo(f"Plain FastAPI is not measured: {error}", err=True)
    result = LoneImageResult(monitor.conditions(), turns, against_plain)
    save("lone-image", render(result), result, publish=publish)


if __name__ == "__main__":
    typer.run(main)
