"""`make bench-client`: `classify --local` on a folder, beside the bare loop with the same photo.

The two take turns, so that interference on the machine affects both. Each is a process of its own.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from loadtest.client.run import link_photos, run_classify
from loadtest.host.gateway import missing
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.load.bare_loop import BareLoop
from loadtest.load.photos import prepare_photos, size_text
from loadtest.report import number, percent, save, table

PHOTO = "720p"
MIN_RATIO = 0.95
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class LocalResult:
    """Images per second, round by round."""

    conditions: Conditions
    files: int
    bare_loop: list[float]
    local: list[float]

    @property
    def ratios(self) -> list[float]:
        """The command relative to the loop, round by round."""
        return [local / bare for local, bare in zip(self.local, self.bare_loop, strict=True)]


def measure(files: int, rounds: int) -> LocalResult:
    monitor = MachineMonitor()
    cores = monitor.machine.cores
    model = STORE / f"{LARGEST}.onnx"
    if not model.is_file():
        raise SystemExit(f"error: {missing(LARGEST, STORE)}")
    bare_loop: list[float] = []
    local: list[float] = []
    with TemporaryDirectory() as temporary, BareLoop(model) as loop:
        work = Path(temporary)
        photo = prepare_photos(work)[PHOTO]
        folder = link_photos(photo, files, work / "photos")
        command = ("--local", "--store", str(STORE), "--model", LARGEST, "--workers", str(cores))
        classify = partial(run_classify, folder, *command)
        seconds = files / classify()  # warms up, too
        run_loop = partial(_images_per_s, loop, photo, cores, seconds)
        turns: list[tuple[Callable[[], float], list[float]]]
        turns = [(run_loop, bare_loop), (classify, local)]
        for _ in track(range(rounds), "rounds", console=CONSOLE, transient=True):
            for run, measured in turns:
                measured.append(run())
            turns.reverse()
    return LocalResult(monitor.conditions(), files, bare_loop, local)


def _images_per_s(loop: BareLoop, photo: Path, threads: int, seconds: float) -> float:
    return loop.run(photo, threads, seconds).images_per_s


def render(result: LocalResult) -> str:
    low, middle, high = statistics.quantiles(result.ratios)
    row = (
        size_text(PHOTO),
        number(statistics.median(result.bare_loop)),
        number(statistics.median(result.local)),
        percent(middle),
        f"{percent(low)} to {percent(high)}",
        percent(MIN_RATIO),
    )
    headings = (
        "photo", "bare loop, images/s", "`--local`, images/s", "ratio", "half of the rounds",
        "target",
    )  # fmt: skip
    return (
        f"{result.conditions.describe()}\n\n`classify --local` on {result.files} files, "
        f"{len(result.local)} rounds of each in turn.\n\n{table(headings, [row])}"
    )


def main(
    files: Annotated[int, typer.Option(min=10, help="Files in the folder.")] = 300,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of each.")] = 20,
) -> None:
    """Measure the throughput of `classify --local` relative to that of the bare loop."""
    result = measure(files, rounds)
    save("local", render(result), result, publish=False)
    if statistics.median(result.ratios) < MIN_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
