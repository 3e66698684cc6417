"""`make bench`: the service beside a bare loop that does the same work, in one run."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.bench.plan import (
    FULL,
    OPEN_LOOP_LOADS,
    QUICK,
    TARGET_FORM,
    TARGET_PHOTO,
    Plan,
    connections,
)
from loadtest.bench.report import render
from loadtest.bench.request_memory import measure_request_memory
from loadtest.bench.result import BenchResult, ModelResult, Sample, median_of, select
from loadtest.bench.rounds import Rounds
from loadtest.host import processes
from loadtest.host.gateway import start_gateway
from loadtest.host.machine import MachineMonitor
from loadtest.host.model_store import LARGEST, LARGEST_INT8, SMALLEST, STORE, make_store
from loadtest.load.bare_loop import BareLoop
from loadtest.load.body import FORMS, PATH, BodyFile, write_body
from loadtest.load.open_loop import run_open_loop
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk, run_wrk, saturating
from loadtest.report import percent, save

CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file that is alone in its store, and the photos with their bodies."""

    file: Path
    photos: dict[str, Path]
    bodies: dict[str, dict[str, BodyFile]]  # by photo and form
    log: Path

    @property
    def name(self) -> str:
        return self.file.stem


def measure(subject: Subject, plan: Plan, cores: int, step: Callable[[str], None]) -> ModelResult:
    """Measure one model: start, memory for a request, closed loops, open loops."""
    step(f"{subject.name}: start")
    cold_s, warm_s = _start_times(subject, plan.starts)
    step(f"{subject.name}: memory for one request")
    photo = subject.photos[TARGET_PHOTO]
    request_memory = measure_request_memory(subject.file, photo)
    body = subject.bodies[TARGET_PHOTO][TARGET_FORM]
    samples: list[Sample] = []
    open_loops = []
    with (
        BareLoop(subject.file) as bare,
        start_gateway(subject.file.parent, subject.name, subject.log) as server,
    ):
        run_wrk(server.url(PATH), body, saturating(cores), 1)  # warm up
        rounds = Rounds(server, bare, cores, plan, step)
        for _ in range(plan.rounds):
            for name in plan.photos:
                bodies = [subject.bodies[name][form] for form in plan.forms]
                samples += rounds.measure(subject.photos[name], bodies)
        for _ in range(plan.target_rounds):
            samples += rounds.measure(photo, [body])
        many = select(samples, TARGET_PHOTO, TARGET_FORM, saturating(cores))
        capacity_per_s = median_of(many, lambda sample: sample.closed.requests_per_s)
        for load in OPEN_LOOP_LOADS:
            step(f"{subject.name}: open loop at {percent(load)}")
            rate = load * capacity_per_s
            open_loops.append(run_open_loop(server.port, PATH, body, rate, plan.open_s))
        memory = server.memory()
    return ModelResult(
        subject.name, cold_s, warm_s, request_memory, samples, capacity_per_s, open_loops, memory
    )


def _start_times(subject: Subject, times: int) -> tuple[list[float], list[float]]:
    """Return the seconds from start to ready: without an optimised graph, and with one."""
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


def _steps(plan: Plan, cores: int) -> int:
    """Count the calls of `step` for one model: each bare loop and one per body after it."""
    loops = plan.rounds * len(plan.photos) * (1 + len(plan.forms)) + plan.target_rounds * (1 + 1)
    return 2 + len(connections(cores)) * loops + len(OPEN_LOOP_LOADS)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    quick: Annotated[bool, typer.Option(help="Measure the targets only; do not publish.")] = False,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Measure the service beside a bare loop, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    plan = QUICK if quick else FULL
    monitor = MachineMonitor()
    cores = monitor.machine.cores
    models = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        TemporaryDirectory() as temporary,
        Progress(*columns, console=CONSOLE, transient=True) as progress,
    ):
        folder = Path(temporary)
        photos = prepare_photos(folder / "photos")
        bodies = {
            name: {form: write_body(photo, folder, form) for form in FORMS}
            for name, photo in photos.items()
        }
        int8 = [LARGEST_INT8] if (store / f"{LARGEST_INT8}.onnx").is_file() else []
        files = [make_store(model, store, folder) for model in (LARGEST, *int8, SMALLEST)]
        task = progress.add_task("start", total=len(files) * _steps(plan, cores))

        def step(what: str) -> None:
            progress.update(task, advance=1, description=f"{what:<50}")

        for file in files:
            subject = Subject(file, photos, bodies, folder / "server.log")
            models.append(measure(subject, plan, cores, step))
    result = BenchResult(monitor.conditions(), plan, models)
    save("bench", render(result), result, publish=publish and not quick)


if __name__ == "__main__":
    typer.run(main)
