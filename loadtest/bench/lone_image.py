"""`make bench-lone`: a lone image on one core and on all, by two services that take turns."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from loadtest.bench.plan import TARGET_PHOTO
from loadtest.host import processes
from loadtest.host.gateway import start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE, make_store
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile, write_body
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk, run_wrk, saturating
from loadtest.report import number, save, table, verdict

MODELS = (LARGEST, f"{LARGEST}_ptq")
WARM_UP_S = 4  # the second session opens within 2 s of the first image
# At one connection: p50 by model, and processor time; at more: processor time. On against off.
MAX_P50 = {LARGEST: 0.75, f"{LARGEST}_ptq": 0.85}
MAX_CPU_ALONE, MAX_CPU_LOADED = 1.25, 1.01


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
    conditions: Conditions
    turns: list[Turns]


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
    """Measure one model at each number of connections; the order changes with every round."""
    store, model = file.parent, file.stem
    with start_gateway(store, model, log, "--lone-image-threads", "1") as first:
        pids = first.pids()
        with start_gateway(store, model, log.with_suffix(".on")) as second:
            off, on = Subject(first, pids, body), Subject(second, second.pids(), body)
            for subject in (off, on):
                subject.run(1, WARM_UP_S)
            found = []
            for connections in counts:
                pairs = []
                for turn in range(rounds):
                    order = (off, on) if turn % 2 else (on, off)
                    sides = {subject: subject.run(connections, 2) for subject in order}
                    pairs.append(Pair(sides[off], sides[on]))
                found.append(Turns(model, connections, pairs))
    return found


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
    return f"{result.conditions.describe()}\n\n{shown}"


def _ratio(ratios: list[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.2f} - {max(ratios):.2f})"


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 10,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Measure the default model's forms with and without the second session, in turns."""
    check_wrk()
    processes.adopt_orphans()
    monitor = MachineMonitor()
    counts = [1, monitor.machine.cores, saturating(monitor.machine.cores)]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        body = write_body(prepare_photos(folder / "photos")[TARGET_PHOTO], folder)
        turns = []
        for model in MODELS:
            if (store / f"{model}.onnx").is_file():
                file = make_store(model, store, folder)
                turns += measure(file, body, folder / "server.log", counts, rounds)
    result = LoneImageResult(monitor.conditions(), turns)
    save("lone-image", render(result), result, publish=publish)


if __name__ == "__main__":
    typer.run(main)
