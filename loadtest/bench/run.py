"""`make bench`: the service beside a bare loop over the same work, on this machine, in one run."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import report
from loadtest.bench import report as bench_report
from loadtest.bench.plan import FULL, HEADLINE_FORM, LOADS, MANY, QUICK, Plan, connections
from loadtest.bench.request_memory import Held, measure_held
from loadtest.bench.rounds import PATH, Bench, BodyFile, Sample, middle, select, write_bodies
from loadtest.host import processes
from loadtest.host.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.host.processes import Memory
from loadtest.host.server import GATEWAY, HOST, start_gateway
from loadtest.load.bare_loop import BareLoop
from loadtest.load.body import FORMS
from loadtest.load.open_loop import OpenLoop, run_open_loop
from loadtest.load.photos import SHARED, SIZES, Photo, prepare_photos
from loadtest.load.wrk import check_wrk, run_wrk

LARGEST, SMALLEST = "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_128"
WEIGHTS = SHARED.with_name("weights")
UNTRAINED = "GATEWAY_ALLOW_UNTRAINED"
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Study:
    """Everything measured with one model. `cold_s` and `warm_s` are from start to ready."""

    model: str
    cold_s: list[float]
    warm_s: list[float]
    held: list[Held]
    samples: list[Sample]
    capacity_per_s: float
    open_loops: list[OpenLoop]
    memory: Memory


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the benchmark."""

    machine: Machine
    plan: Plan
    disturbed: Disturbance
    took_s: float
    studies: list[Study]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in a store of its own, and the photos with their bodies."""

    file: Path
    photos: list[Photo]
    bodies: dict[str, list[BodyFile]]
    log: Path

    @property
    def name(self) -> str:
        return self.file.stem


def study(subject: Subject, plan: Plan, cores: int, step: Callable[[str], None]) -> Study:
    """Measure one model: start, memory for a request, closed loops, open loops."""
    step(f"{subject.name}: start")
    cold_s, warm_s = _starts(subject, plan.starts)
    step(f"{subject.name}: memory for one request")
    photo = subject.photos[0]
    held = measure_held(subject.file, photo.path)
    headline = [body for body in subject.bodies[photo.name] if body.form == HEADLINE_FORM]
    store = subject.file.parent
    with (
        BareLoop(subject.file) as bare,
        start_gateway(store, subject.name, subject.log) as server,
    ):
        run_wrk(server.url(PATH), headline[0].path, headline[0].content_type, MANY * cores, 1)
        bench = Bench(server, bare, cores, plan, step)
        samples: list[Sample] = []
        for _ in range(plan.rounds):
            for each in subject.photos:
                samples += bench.visit(each, subject.bodies[each.name])
        for _ in range(plan.headline_rounds):
            samples += bench.visit(photo, headline)
        crowd = select(samples, photo.name, HEADLINE_FORM, MANY * cores)
        capacity = middle(crowd, lambda sample: sample.closed.requests_per_s)
        loops = []
        for load in LOADS:
            step(f"{subject.name}: open loop at {report.percent(load)}")
            loops.append(_open_loop(server.port, headline[0], load * capacity, plan.open_s))
        memory = server.memory()
    return Study(subject.name, cold_s, warm_s, held, samples, capacity, loops, memory)


def _open_loop(port: int, body: BodyFile, rate: float, seconds: float) -> OpenLoop:
    return run_open_loop(HOST, port, PATH, body.path, body.content_type, rate, seconds)


def _starts(subject: Subject, times: int) -> tuple[list[float], list[float]]:
    """Seconds from start to ready: without an optimised graph beside the store, and with one."""
    cold_s: list[float] = []
    warm_s: list[float] = []
    for _ in range(times):
        with TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            store.mkdir()
            shutil.copy(subject.file, store)
            for seconds in (cold_s, warm_s):
                with start_gateway(store, subject.name, subject.log) as server:
                    seconds.append(server.ready_s)
    return cold_s, warm_s


def prepare(model: str, store: Path, folder: Path) -> Path:
    """A store with only this model: the real one, or random weights, which cost the same.

    Raises:
        FileNotFoundError: the largest model is not in the store, and would have to be pulled.
    """
    own = folder / model
    own.mkdir()
    source = store / f"{model}.onnx"
    if source.is_file():
        return Path(shutil.copy(source, own))
    if model == LARGEST:
        raise FileNotFoundError(f"{source} is missing: run `mobilenet-gateway models pull`")
    if WEIGHTS.is_dir() and _models("pull", model, "--offline", "--weights", WEIGHTS, store=own):
        return own / source.name
    family, alpha, resolution = model.rsplit("_", 2)
    shape = ("--family", family, "--alpha", alpha, "--resolution", resolution)
    if not _models("export", *shape, store=own):
        raise FileNotFoundError(f"{model} is not in {store} and could not be exported")
    os.environ[UNTRAINED] = "true"
    return own / source.name


def _models(*arguments: str | Path, store: Path) -> bool:
    """Run `mobilenet-gateway models ...`; whether it did what it was asked."""
    command = [str(GATEWAY), "models", *map(str, arguments), "--store", str(store)]
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdout=quiet, stderr=quiet).returncode == 0


def _steps(plan: Plan, cores: int) -> int:
    """How often `study` says that it begins something: a bare loop and one for each body."""
    loops = plan.rounds * len(SIZES) * (1 + len(FORMS)) + plan.headline_rounds * (1 + 1)
    return 2 + len(connections(cores)) * loops + len(LOADS)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = Path("models/store"),
    quick: Annotated[bool, typer.Option(help="A look in two minutes; not published.")] = False,
    publish: Annotated[bool, typer.Option(help="Fill docs/performance.md.")] = True,
) -> None:
    """Measure the service beside a bare loop, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    plan = QUICK if quick else FULL
    machine, before, started = this_machine(), cpu_times(), time.monotonic()
    studies = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        TemporaryDirectory() as name,
        Progress(*columns, console=CONSOLE, transient=True) as progress,
    ):
        folder = Path(name)
        photos = prepare_photos(folder / "photos")
        bodies = {photo.name: write_bodies(photo, folder) for photo in photos}
        files = [prepare(model, store, folder) for model in (LARGEST, SMALLEST)]
        task = progress.add_task("start", total=len(files) * _steps(plan, machine.cores))
        for file in files:
            subject = Subject(file, photos, bodies, folder / "server.log")
            studies.append(
                study(
                    subject,
                    plan,
                    machine.cores,
                    lambda what: progress.update(task, advance=1, description=f"{what:<50}"),
                )
            )
    disturbed = disturbance(before, cpu_times())
    result = Result(machine, plan, disturbed, time.monotonic() - started, studies)
    text = bench_report.render(result)
    print(text)
    report.write_json("bench", result)
    report.write_markdown("bench", text)
    if publish and not quick:
        report.publish("bench", text)


if __name__ == "__main__":
    typer.run(main)
