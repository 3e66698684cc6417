"""`make bench-client`: `mobilenet-gateway classify` on a folder beside wrk, the same file.

Rounds of both take turns, so that whatever else the machine does falls on both.
"""

import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from loadtest import report
from loadtest.host.machine import Disturbance, Machine, cpu_times, disturbance, this_machine
from loadtest.host.server import GATEWAY, Server, start_gateway
from loadtest.load.photos import Photo, prepare_photos
from loadtest.load.wrk import check_wrk, run_wrk

MODEL = "mobilenet_v2_1.0_224"
STORE = Path(__file__).resolve().parents[2] / "models" / "store"
WRK_S = 5
PROMISED = 0.9
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Images a second of one photo, round by round."""

    photo: str
    wrk: list[float]
    classify: list[float]

    @property
    def ratio(self) -> float:
        """The median of what `classify` reaches of wrk in the same round."""
        return statistics.median(
            ours / theirs for ours, theirs in zip(self.classify, self.wrk, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the benchmark."""

    machine: Machine
    disturbed: Disturbance
    took_s: float
    files: int
    photos: list[Rounds]


def bench_client(files: int, rounds: int) -> Result:
    """Measure every photo."""
    machine, before, began = this_machine(), cpu_times(), time.monotonic()
    measured = []
    with TemporaryDirectory() as name:
        work = Path(name)
        photos = prepare_photos(work)
        with start_gateway(STORE, MODEL, work / "server.log") as server:
            for photo in photos:
                folder = work / photo.name
                folder.mkdir()
                for number in range(files):
                    os.link(photo.path, folder / f"{number:05}.jpg")
                measured.append(_measure(server, photo, folder, machine.cores, rounds))
    took_s = time.monotonic() - began
    return Result(machine, disturbance(before, cpu_times()), took_s, files, measured)


def _measure(server: Server, photo: Photo, folder: Path, cores: int, rounds: int) -> Rounds:
    found = Rounds(str(photo), [], [])
    run_wrk(server.url("/predict"), photo.path, "image/jpeg", 2 * cores, 1)  # warm
    for _ in track(range(rounds), str(photo), console=CONSOLE, transient=True):
        loop = run_wrk(server.url("/predict"), photo.path, "image/jpeg", 2 * cores, WRK_S)
        found.wrk.append(loop.requests_per_s)
        found.classify.append(_classify(server, folder))
    return found


def _classify(server: Server, folder: Path) -> float:
    """Images a second as the command itself counts them, from the first to the last row."""
    with TemporaryDirectory() as output:
        command = [str(GATEWAY), "classify", str(folder), "--url", server.url(""), "--json"]
        command += ["--output", str(Path(output) / "rows.csv")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["images_per_s"])


def text(found: Result) -> str:
    """The table, with the promise beside the figures."""
    rows = [
        (
            rounds.photo,
            report.number(statistics.median(rounds.wrk)),
            report.number(statistics.median(rounds.classify)),
            report.percent(rounds.ratio),
            report.percent(PROMISED),
        )
        for rounds in found.photos
    ]
    headings = ("photo", "wrk, images/s", "classify, images/s", "ratio", "promised")
    return "\n\n".join(
        (
            report.describe(found.machine, found.disturbed, found.took_s),
            f"Folders of {found.files} files, {len(found.photos[0].wrk)} rounds of each in turn; "
            "the ratio is the median of those of the rounds. Client, wrk and service share the "
            "cores.",
            report.table(headings, rows),
        )
    )


def main(
    files: Annotated[int, typer.Option(min=10, help="Files in the folder.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each.")] = 3,
    publish: Annotated[bool, typer.Option(help="Write it into docs/performance.md.")] = True,
) -> None:
    """Measure what the command line's client reaches of what the service can do."""
    check_wrk()
    found = bench_client(files, rounds)
    report.write_json("client", found)
    written = text(found)
    if publish:
        report.publish("client", written)
    print(written)


if __name__ == "__main__":
    typer.run(main)
