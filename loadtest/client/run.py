"""`make bench-client`: `mobilenet-gateway classify` on a folder, beside wrk with the same file.

The two take turns, so that interference on the machine affects both.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from loadtest.host.gateway import GATEWAY, start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile
from loadtest.load.photos import prepare_photos, size_text
from loadtest.load.wrk import check_wrk, run_wrk
from loadtest.report import number, percent, save, table

WRK_S = 5
MIN_RATIO = 0.9
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Images per second with one photo, round by round."""

    photo: str
    wrk: list[float]
    classify: list[float]

    @property
    def ratio(self) -> float:
        """The median over the rounds of `classify` relative to wrk."""
        rounds = zip(self.classify, self.wrk, strict=True)
        return statistics.median(classify / wrk for classify, wrk in rounds)


@dataclass(frozen=True, slots=True)
class ClientResult:
    conditions: Conditions
    files: int
    photos: list[Rounds]


def measure(files: int, rounds: int) -> ClientResult:
    monitor = MachineMonitor()
    measured = []
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        photos = prepare_photos(work)
        with start_gateway(STORE, LARGEST, work / "server.log") as server:
            for name, photo in photos.items():
                folder = link_photos(photo, files, work / name)
                measured.append(_rounds(server, photo, folder, monitor.machine.cores, rounds))
    return ClientResult(monitor.conditions(), files, measured)


def _rounds(server: Server, photo: Path, folder: Path, cores: int, rounds: int) -> Rounds:
    found = Rounds(size_text(photo.stem), [], [])
    url, body, connections = server.url(PATH), BodyFile("raw", photo, "image/jpeg"), 2 * cores
    run_wrk(url, body, connections, 1)  # warm up
    for _ in track(range(rounds), found.photo, console=CONSOLE, transient=True):
        loop = run_wrk(url, body, connections, WRK_S)
        found.wrk.append(loop.requests_per_s)
        found.classify.append(classify([server], folder))
    return found


def link_photos(photo: Path, files: int, folder: Path) -> Path:
    """Make a folder with so many links to a photo."""
    folder.mkdir()
    for index in range(files):
        os.link(photo, folder / f"{index:05}.jpg")
    return folder


def classify(servers: Sequence[Server], folder: Path) -> float:
    """Return the images per second that the command reports, from the first to the last row."""
    return run_classify(folder, *(text for one in servers for text in ("--url", one.url(""))))


def run_classify(folder: Path, *options: str) -> float:
    """Return the images per second that the command with these options reports."""
    with TemporaryDirectory() as output:
        command = [str(GATEWAY), "classify", str(folder), *options, "--json"]
        command += ["--output", str(Path(output) / "rows.csv")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["images_per_s"])


def render(result: ClientResult) -> str:
    rows = [
        (
            rounds.photo,
            number(statistics.median(rounds.wrk)),
            number(statistics.median(rounds.classify)),
            percent(rounds.ratio),
            percent(MIN_RATIO),
        )
        for rounds in result.photos
    ]
    headings = ("photo", "wrk, images/s", "classify, images/s", "ratio", "target")
    return "\n\n".join(
        (
            result.conditions.describe(),
            f"Folders of {result.files} files, {len(result.photos[0].wrk)} rounds of each in turn; "
            "the ratio is the median of the rounds' ratios. Client, wrk and service share the "
            "cores.",
            table(headings, rows),
        )
    )


def main(
    files: Annotated[int, typer.Option(min=10, help="Files in the folder.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each.")] = 3,
    publish: Annotated[bool, typer.Option(help="Update docs/performance.md.")] = True,
) -> None:
    """Measure the throughput of `classify` relative to that of wrk."""
    check_wrk()
    result = measure(files, rounds)
    save("client", render(result), result, publish=publish)


if __name__ == "__main__":
    typer.run(main)
