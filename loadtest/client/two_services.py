"""`make bench-client`: `classify` through two services with one worker beside one with two.

The two take turns, so that interference on the machine affects both.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from loadtest.client.run import classify, link_photos
from loadtest.host.gateway import start_gateway
from loadtest.host.machine import Conditions, MachineMonitor
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import Server
from loadtest.load.photos import prepare_photos, size_text
from loadtest.report import number, percent, save, table

PHOTO = "720p"
MIN_RATIO = 0.95
CONSOLE = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class TwoServicesResult:
    """Images per second, round by round."""

    conditions: Conditions
    files: int
    one_service: list[float]
    two_services: list[float]

    @property
    def ratio(self) -> float:
        """The median over the rounds of two services relative to one."""
        rounds = zip(self.two_services, self.one_service, strict=True)
        return statistics.median(two / one for two, one in rounds)


def measure(files: int, rounds: int) -> TwoServicesResult:
    monitor = MachineMonitor()
    one_service: list[float] = []
    two_services: list[float] = []
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = link_photos(prepare_photos(work)[PHOTO], files, work / "photos")
        with (
            _service(work, "whole", 2) as whole,
            _service(work, "half", 1) as half,
            _service(work, "other-half", 1) as other_half,
        ):
            ways = [([whole], one_service), ([half, other_half], two_services)]
            for servers, _ in ways:
                classify(servers, folder)  # warm up
            for _ in track(range(rounds), "rounds", console=CONSOLE, transient=True):
                for servers, measured in ways:
                    measured.append(classify(servers, folder))
                ways.reverse()
    return TwoServicesResult(monitor.conditions(), files, one_service, two_services)


def _service(work: Path, name: str, workers: int) -> Server:
    # A lone image on all cores would give the services with one worker more than one.
    options = ("--workers", str(workers), "--lone-image-threads", "1")
    return start_gateway(STORE, LARGEST, work / f"{name}.log", *options)


def render(result: TwoServicesResult) -> str:
    row = (
        size_text(PHOTO),
        number(statistics.median(result.one_service)),
        number(statistics.median(result.two_services)),
        percent(result.ratio),
        percent(MIN_RATIO),
    )
    headings = ("photo", "one service, images/s", "two services, images/s", "ratio", "target")
    return (
        f"{result.conditions.describe()}\n\n`classify` on {result.files} files, "
        f"{len(result.one_service)} rounds of each in turn.\n\n{table(headings, [row])}"
    )


def main(
    files: Annotated[int, typer.Option(min=10, help="Files in the folder.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each.")] = 9,
) -> None:
    """Measure the throughput of `classify` with two services relative to one with both workers."""
    result = measure(files, rounds)
    save("two-services", render(result), result, publish=False)
    if result.ratio < MIN_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
