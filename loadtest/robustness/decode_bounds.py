"""Measure the worst of many structure-aware images: `python -m loadtest.robustness.decode_bounds`.

Each image is decoded as the service does: by a worker if its structure bounds the time, else by the
helper process. The run fails if a worker needs more than 0.2 s of processor time, the helper more
than its limit, or either more memory than the settings allow.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.card.card import Preprocessing
from app.errors import RequestError
from app.images import pillow_settings
from app.images.decode import load_image
from app.images.decode_memory import DecodeMemory
from app.images.helper_process import HelperLimits, HelperProcess
from app.images.helper_protocol import Job
from app.images.limits import BeyondBounds, ImageLimits
from app.settings import Settings
from app.system.memory import map_large_blocks
from loadtest.robustness.structured_images.kinds import structured_image

MAX_WORKER_MS = 200.0
TICK_S = 0.01  # of /proc/PID/stat
RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
JOB = Job(224, RULE.resize, RULE.crop_fraction, RULE.interpolation, reduced_decode=True)


@dataclass(slots=True)
class Worst:
    """The worst figures of one kind of image, and the numbers of the images."""

    images: int = 0
    helped: int = 0
    figures: dict[str, tuple[float, int]] = field(default_factory=dict)

    def see(self, name: str, figure: float, number: int) -> None:
        self.figures[name] = max(self.figures.get(name, (0.0, 0)), (figure, number))


def measure(helper: HelperProcess, memory: DecodeMemory, data: bytes) -> dict[str, float]:
    """Decode one image; milliseconds of a worker, seconds of the helper, MB of each."""
    _reset_peak("self")
    before_mb, began = _status_mb("self", "VmRSS"), time.thread_time()
    beyond = False
    try:
        load_image(data, 224, RULE, ImageLimits(), memory=memory, bounded=True)
    except BeyondBounds:
        beyond = True
    except RequestError:
        pass
    found = {
        "worker ms": (time.thread_time() - began) * 1000,
        "worker MB": _status_mb("self", "VmHWM") - before_mb,
    }
    return found | _measure_helper(helper, data) if beyond else found


def _measure_helper(helper: HelperProcess, data: bytes) -> dict[str, float]:
    fresh = helper.pid is None
    began_s = 0.0 if fresh else _cpu_s(helper.pid)
    if not fresh:
        _reset_peak(helper.pid)
    found = {"helper s": 0.0, "helper MB": 0.0}

    def look() -> bool:
        try:
            found["helper s"] = _cpu_s(helper.pid) - began_s
            found["helper MB"] = max(found["helper MB"], _status_mb(helper.pid, "VmHWM"))
        except (OSError, StopIteration):  # it has just died
            pass
        return False

    with suppress(RequestError):
        helper.decode(data, JOB, look)
    look()
    return found


def _cpu_s(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _status_mb(pid: int | str | None, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


def _reset_peak(pid: int | str | None) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def main(
    images: Annotated[int, typer.Option(min=1, help="Number of images.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the images.")] = 0,
    only: Annotated[int | None, typer.Option(help="Decode only the image of this number.")] = None,
) -> None:
    """Decode structure-aware images and print the worst figures of each kind."""
    pillow_settings.configure()
    map_large_blocks()
    console = Console(stderr=True)
    settings, limits = Settings(), HelperLimits()
    helper, memory = HelperProcess(ImageLimits(), limits), DecodeMemory(settings.max_decode_bytes)
    found: dict[str, Worst] = {}
    numbers = range(images) if only is None else range(only, only + 1)
    for number in track(numbers, "decoding", console=console, disable=not console.is_terminal):
        kind, data = structured_image(Random(f"{seed}/{number}"))  # noqa: S311  repeatable
        worst = found.setdefault(kind, Worst())
        worst.images += 1
        figures = measure(helper, memory, data)
        worst.helped += "helper s" in figures
        for name, figure in figures.items():
            worst.see(name, figure, number)
    helper.close()
    helper.stop()
    Console(width=140).print(table(found))
    if any(failures(found, limits, settings)):
        raise typer.Exit(1)


def failures(found: dict[str, Worst], limits: HelperLimits, settings: Settings) -> list[str]:
    """Return every figure that is above its limit; the start of the helper costs some, too."""
    most = {
        "worker ms": MAX_WORKER_MS,
        "worker MB": settings.max_decode_bytes / 1e6 + 10,
        "helper s": limits.cpu_s + 0.5,
        "helper MB": (limits.memory_bytes + limits.file_bytes) / 1e6 + 50,
    }
    faults = [
        f"{kind}: {figure:.1f} {name} with image {number}; the limit is {most[name]:g}"
        for kind, worst in found.items()
        for name, (figure, number) in worst.figures.items()
        if figure > most[name]
    ]
    for fault in faults:
        Console().print(f"[red]{fault}[/red]", highlight=False)
    return faults


def table(found: dict[str, Worst]) -> Table:
    """The worst figures by kind, with the number of the image in brackets."""
    names = ("worker ms", "worker MB", "helper s", "helper MB")
    made = Table("kind", "images", "by the helper", *names, box=box.SIMPLE_HEAD)
    for kind, worst in sorted(found.items()):
        cells = [
            f"{figure:.1f} ({number})" if name in worst.figures else ""
            for name in names
            for figure, number in (worst.figures.get(name, (0.0, 0)),)
        ]
        made.add_row(kind, str(worst.images), str(worst.helped), *cells)
    return made


if __name__ == "__main__":
    typer.run(main)
