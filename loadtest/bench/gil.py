"""The processor time that a request holds the GIL, which bounds how many cores a service can use.

`python -m loadtest.bench.gil MODEL... [--base CHECKOUT]` loads the service with a 1280x720 JPEG at
8 connections, in turns with that of another checkout. It needs a C compiler, wrk, and a Python
whose interpreter is a shared library, as that of a container image is.
"""

import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from loadtest.host.model_store import STORE
from loadtest.host.server import Server, free_port
from loadtest.load.body import PATH, BodyFile, raw
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import run_wrk

CLOCK = Path(__file__).with_name("gil_clock.c")
ROOT = Path(__file__).resolve().parents[2]
SLOT = struct.Struct("qqq")  # thread, nanoseconds, times taken
SERVE = "from app.commands.main import main; main()"
CONNECTIONS, SECONDS, ROUNDS = 8, 4, 5


@dataclass(frozen=True, slots=True)
class Held:
    """What one request holds, in microseconds of processor time."""

    loop_us: float
    workers_us: float
    times: float
    cpu_us: float

    @property
    def both_us(self) -> float:
        return self.loop_us + self.workers_us


def measure(checkout: Path, file: Path, body: BodyFile, folder: Path) -> Held:
    """Load the service of a checkout and read the clock before and after."""
    library, slots, port = folder / "gil_clock.so", folder / "slots", free_port()
    slots.unlink(missing_ok=True)
    env = {"LD_PRELOAD": str(library), "GIL_CLOCK": str(slots), "PYTHONPATH": str(checkout)}
    options = ["--store", str(file.parent), "--models", file.stem, "--default-model", file.stem]
    options += ["--port", str(port), "--log-level", "warning", "--measure-s", "0"]
    command = [sys.executable, "-c", SERVE, "serve", *options]
    with Server(command, port, "/readyz", env=env, log=folder / "log", folder=checkout) as server:
        run_wrk(server.url(PATH), body, CONNECTIONS, 2)
        before, cpu_s = read(slots), server.cpu_s()
        requests = run_wrk(server.url(PATH), body, CONNECTIONS, SECONDS).requests
        time.sleep(0.5)  # the metrics of the last requests
        after, cpu_s = read(slots), server.cpu_s() - cpu_s
    held = {thread: after[thread][0] - before.get(thread, (0, 0))[0] for thread in after}
    times = sum(count for _, count in after.values()) - sum(count for _, count in before.values())
    loop = held.pop(min(held)) / requests / 1000  # the main thread has the lowest id
    workers = sum(held.values()) / requests / 1000
    return Held(loop, workers, times / requests, cpu_s / requests * 1e6)


def read(slots: Path) -> dict[int, tuple[int, int]]:
    """Nanoseconds and times by thread."""
    found = SLOT.iter_unpack(slots.read_bytes())
    return {thread: (held_ns, times) for thread, held_ns, times in found if thread}


def main(
    models: Annotated[list[str], typer.Argument(help="Models of the store.")],
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    base: Annotated[Path | None, typer.Option(help="Another checkout.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = ROUNDS,
) -> None:
    """Measure each model and print medians of the rounds; ratios are within a round."""
    checkouts = [ROOT] if base is None else [base.resolve(), ROOT]
    with TemporaryDirectory() as name:
        folder = Path(name)
        build = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / "gil_clock.so"), str(CLOCK)]
        subprocess.run([*build, "-ldl"], check=True)
        content = raw(prepare_photos(folder / "photos")["720p"].read_bytes())
        body = BodyFile("raw", folder / "body", content.content_type)
        body.path.write_bytes(content.data)
        for model in models:
            file = store.resolve() / f"{model}.onnx"
            runs: dict[Path, list[Held]] = {checkout: [] for checkout in checkouts}
            for number in range(rounds):
                for checkout in checkouts[:: -1 if number % 2 else 1]:
                    runs[checkout].append(measure(checkout, file, body, folder))
            for checkout, found in runs.items():
                describe(f"{model}, {checkout.name}", found, runs[checkouts[0]])


def describe(title: str, found: list[Held], base: list[Held]) -> None:
    loop, workers = (median(run.loop_us for run in found), median(run.workers_us for run in found))
    both, cpu = median(run.both_us for run in found), median(run.cpu_us for run in found)
    ratio = median(run.both_us / other.both_us for run, other in zip(found, base, strict=True))
    print(
        f"{title}: {both:.0f} of {cpu:.0f} us a request with the GIL ({loop:.0f} event loop, "
        f"{workers:.0f} workers), taken {median(run.times for run in found):.1f} times; "
        f"keeps {cpu / both:.1f} cores busy; {ratio:.2f} of the base"
    )


if __name__ == "__main__":
    typer.run(main)
